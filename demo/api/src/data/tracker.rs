//! The project tracker: projects and, below each, its issues.
//!
//! In go a record's random numbers, times and id; out comes its JSON text. An issue does not name
//! its project and its id is unique only within it, as in many real APIs: whoever collects the
//! issues of all projects has to carry the project's id along.

use super::json::{Decimal, Object, cents, list, texts};
use super::random::{Random, Times};
use super::words::{BODIES, COMPLAINTS, FIRST_NAMES, LABELS, LAST_NAMES, PROJECT_NAMES, SUBJECTS};

pub(super) fn project(random: &mut Random, times: Times, id: u64, issues: u64) -> String {
    let name = format!("{} {}", random.pick(PROJECT_NAMES), id);
    Object::new()
        .raw("id", id)
        .text("key", &format!("P-{id:03}"))
        .text("name", &name)
        .optional_text("description", (!random.one_in(5)).then(|| random.pick(BODIES)))
        .raw("owner", person(random))
        .raw("budget", cents(random.between(100_000, 99_999_999)))
        .raw("issue_count", issues)
        .raw("is_public", random.one_in(3))
        .raw("labels", texts(random.some(LABELS, 3)))
        .raw("settings", "{}")
        .text("started_on", &random.date())
        .raw("archived_at", "null")
        .text("created_at", &random.stamp(times.created))
        .text("updated_at", &random.stamp(times.updated))
        .finish()
}

pub(super) fn issue(random: &mut Random, times: Times, id: u64) -> String {
    let title = format!("{} {}", random.pick(SUBJECTS), random.pick(COMPLAINTS));
    let is_closed = random.one_in(2);
    let estimate = (!random.one_in(4)).then(|| random.between(1, 400));
    Object::new()
        .raw("id", id)
        .text("title", &title)
        .optional_text("body", (!random.one_in(6)).then(|| random.pick(BODIES)))
        .text("state", if is_closed { "closed" } else { "open" })
        .optional("priority", (!random.one_in(3)).then(|| random.between(1, 5)))
        .optional("estimate_hours", estimate.map(|units| Decimal { units, places: 1 }))
        .raw("labels", texts(random.some(LABELS, 3)))
        .optional("assignee", (!random.one_in(4)).then(|| person(random)))
        .raw("comments", comments(random, times))
        .optional_text("due_on", random.one_in(3).then(|| random.date()).as_deref())
        .raw("archived_at", "null")
        .text("created_at", &random.stamp(times.created))
        .text("updated_at", &random.stamp(times.updated))
        .optional_text("closed_at", is_closed.then(|| random.stamp(times.updated)).as_deref())
        .finish()
}

fn person(random: &mut Random) -> String {
    let id = random.between(1, 30);
    // A person's name follows from the id, so that the same person has the same name everywhere.
    let at = id as usize;
    let (first, last) =
        (FIRST_NAMES[at % FIRST_NAMES.len()], LAST_NAMES[(at * 7) % LAST_NAMES.len()]);
    Object::new()
        .raw("id", id)
        .text("name", &format!("{first} {last}"))
        .text("email", &format!("person.{id}@example.com"))
        .finish()
}

fn comments(random: &mut Random, times: Times) -> String {
    let mut comments = Vec::new();
    for _ in 0..random.below(5) {
        let at = random.between(times.created / 1_000_000, times.updated / 1_000_000);
        let author = format!("{} {}", random.pick(FIRST_NAMES), random.pick(LAST_NAMES));
        let comment = Object::new()
            .text("author", &author)
            .text("body", random.pick(BODIES))
            .text("at", &random.stamp(at * 1_000_000));
        comments.push(comment.finish());
    }
    list(&comments)
}
