//! The words that records are made of, awkward ones among them.
//!
//! Constant tables only. Among the names and texts are Japanese, Arabic, emoji of several code
//! points, combining marks, quotes, backslashes, tabs and line ends: whatever a table, a terminal
//! or a CSV file is likely to get wrong.

pub(super) const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Grace",
    "Jose\u{301}",
    "Zoe\u{308}",
    "François",
    "Søren",
    "Łukasz",
    "Müge",
    "Yuki",
    "太郎",
    "花子",
    "日本",
    "محمد",
    "فاطمة",
    "Αθηνά",
    "Иван",
    "ಸುಧಾ",
    "Siobhán",
    "D'Arcy",
    "Anna-Lena",
    "李",
    "민준",
    "Ngọc",
    "Bob \"Bobby\"",
    "👩‍💻 Robin",
];

pub(super) const LAST_NAMES: &[&str] = &[
    "Lovelace",
    "Hopper",
    "García",
    "Nguyễn",
    "Straße",
    "O'Brien",
    "Nakamura",
    "山田",
    "佐藤",
    "الخطيب",
    "Παπαδόπουλος",
    "Петров",
    "Kowalczyk",
    "Åberg",
    "van der Berg",
    "Smith",
    "Müller",
    "王",
    "김",
    "Null",
    "True",
    "N/A",
];

pub(super) const COMPANIES: &[&str] = &[
    "Acme, Inc.",
    "Globex GmbH & Co. KG",
    "株式会社日本商事",
    "Ünïcödé Ltd",
    "Société Générale d'Essais",
    "شركة الاختبار",
    "Tabs\tand\tTabs",
    "Back\\slash Bros.",
    "🚀 Rocket Parts",
    "007",
];

/// City, country, latitude and longitude in units of 10^-4 degrees.
pub(super) const CITIES: &[(&str, &str, i64, i64)] = &[
    ("Berlin", "DE", 525_200, 134_050),
    ("München", "DE", 481_351, 115_820),
    ("Wien", "AT", 482_082, 163_738),
    ("Zürich", "CH", 473_769, 85_417),
    ("Paris", "FR", 488_566, 23_522),
    ("東京", "JP", 356_762, 1_396_503),
    ("大阪", "JP", 346_937, 1_355_023),
    ("New York", "US", 407_128, -740_060),
    ("São Paulo", "BR", -235_505, -466_333),
    ("القاهرة", "EG", 300_444, 312_357),
    ("Kraków", "PL", 500_647, 199_450),
    ("Reykjavík", "IS", 641_466, -219_426),
];

pub(super) const STREETS: &[&str] = &[
    "Hauptstraße",
    "Rue de l'Église",
    "Main Street",
    "桜通り",
    "شارع النيل",
    "Åsgatan",
    "Calle \"Mayor\"",
    "Ulica Długa",
];

pub(super) const TAGS: &[&str] =
    &["vip", "newsletter", "b2b", "überfällig", "新規", "churn risk", "beta", "null", "5%"];

pub(super) const LABELS: &[&str] =
    &["bug", "feature", "documentation", "security", "good first issue", "不具合", "🔥", "p1"];

/// Stock number, title and price in hundredths.
pub(super) const PRODUCTS: &[(&str, &str, i64)] = &[
    ("TEA-001", "Green tea 緑茶, 100 g", 799),
    ("TEA-002", "Earl Grey \"Imperial\"", 650),
    ("CUP-010", "Cup, stoneware", 1_999),
    ("CUP-011", "Cup, porcelain (2×)", 3_450),
    ("POT-100", "Teapot 0.8 l", 4_995),
    ("KTL-200", "Kettle, gooseneck", 12_900),
    ("STR-300", "Strainer", 575),
    ("SCN-401", "Scone mix", 420),
    ("JAM-500", "Confiture d'orange amère", 610),
    ("HNY-510", "عسل السدر", 2_875),
    ("BAG-600", "Paper bag", 10),
    ("GFT-700", "Gift card 🎁", 5_000),
    ("MCH-800", "Matcha set 抹茶セット", 8_850),
    ("RST-900", "Roasting plant, installed", 123_456_789),
];

pub(super) const STATUSES: &[&str] =
    &["delivered", "shipped", "paid", "pending", "cancelled", "returned"];

pub(super) const CURRENCIES: &[&str] = &["EUR", "USD", "JPY", "CHF", "BRL"];

pub(super) const NOTES: &[&str] = &[
    "Please ring twice.",
    "Leave with the neighbour,\n\"the one with the dog\".",
    "お届けは午後にお願いします。\r\n日本語のみ。",
    "مرحبا، اتصل بي قبل التسليم",
    "Gift for Zoe\u{308} 🎂🎉",
    "path C:\\tmp\\new; tab:\tend",
    "",
];

pub(super) const SUBJECTS: &[&str] = &[
    "Login page",
    "Export to CSV",
    "検索結果",
    "Invoice totals",
    "Search",
    "Notifications 🔔",
    "الترجمة",
    "Date picker",
    "\"Forgot password\" mail",
    "API rate limits",
];

pub(super) const COMPLAINTS: &[&str] = &[
    "is slow",
    "shows the wrong time zone",
    "が表示されない",
    "rounds 0.1 + 0.2",
    "loses unsaved text",
    "breaks on 👩‍💻",
    "needs documentation",
    "fails for names with e\u{301}",
    "لا يعمل",
];

pub(super) const BODIES: &[&str] = &[
    "Steps to reproduce:\n1. Open the page.\n2. Wait.\n\nExpected: \"it works\".",
    "再現手順：\n一覧を開く。\n日本語の名前が化ける。",
    "مرحبا، هذه الميزة لا تعمل منذ التحديث الأخير.",
    "Happens since the last release. See `C:\\logs\\app.log`.\r\nStack trace follows:\r\n\tat main",
    "+1 👍🏽",
    "Fixed in the next release.",
    "Cannot reproduce; which browser?",
    "<b>Not</b> HTML & not 'SQL'; -- DROP TABLE issues",
];

pub(super) const PROJECT_NAMES: &[&str] = &[
    "Apollo",
    "Borealis",
    "桜プロジェクト",
    "Café Crème",
    "Delta",
    "Équinoxe",
    "مشروع النيل",
    "Gamma Ray",
    "\"Hermes\"",
    "Ironwood 🌲",
    "Jötunn",
    "Κύκλος",
];
