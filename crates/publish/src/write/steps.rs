//! Steps that change an item: JSON Patch (RFC 6902).
//!
//! In: steps, and an item as it is answered to the caller. Out: the members that are others then,
//! each as its exact text. Only what a step names is opened.
//!
//! What never happens here: a look at what the caller does not see; the item is all there is.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::body::{Given, Item};
use super::exact::{Members, Opener, Raw, Unworkable, first, is_object, raw};

/// Parts of a path.
const PARTS_MAX: usize = 128;

/// A step.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    op: Op,
    path: Path,
    from: Option<Path>,
    /// Whether it is there counts: null is a value.
    #[serde(default, deserialize_with = "given")]
    value: Option<Raw>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

/// A pointer (RFC 6901), in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path(Vec<String>);

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Raw>, D::Error> {
    Raw::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let problem = |text: &str| Err(serde::de::Error::custom(text));
        let text = String::deserialize(deserializer)?;
        let Some(parts) = text.strip_prefix('/') else {
            return if text.is_empty() {
                Ok(Self(Vec::new()))
            } else {
                problem("a path begins with `/`")
            };
        };
        if parts.split('/').count() > PARTS_MAX {
            return problem("a path has at most 128 parts");
        }
        let parts = parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
        Ok(Self(parts.collect()))
    }
}

/// Why a step cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misstep {
    #[error("it has no `{0}`")]
    Without(&'static str),
    #[error("nothing is at its `{0}`")]
    Nowhere(&'static str),
    #[error("the value is another one")]
    Other,
    #[error("it leaves no item")]
    NoItem,
    #[error("a value cannot be moved into itself")]
    Inside,
    #[error("{0}")]
    Unworkable(#[from] Unworkable),
}

/// What happens at a path.
enum Edit {
    Add(Raw),
    Replace(Raw),
    Remove,
}

/// The item while steps are done on it.
struct Stepping {
    opener: Opener,
    item: Members,
}

/// What the steps make of an item; or which of them, counted from one, cannot be done, and why.
pub(super) fn stepped(steps: &[Step], item: &RawValue) -> Result<Item, (usize, Misstep)> {
    let mut opener = Opener::default();
    let before = opener.members(item).map_err(|error| (1, error.into()))?;
    let mut stepping = Stepping { opener, item: before.clone() };
    for (at, step) in steps.iter().enumerate() {
        stepping.step(step).map_err(|problem| (at + 1, problem))?;
    }
    let after = stepping.item;
    let gone = before.pairs().filter(|(name, _)| after.get(name).is_none());
    let gone = gone.map(|(name, _)| (name.clone(), Given::Json(RawValue::NULL.to_owned())));
    let gone: Vec<_> = gone.collect();
    let is_new =
        |(name, value): &(String, Raw)| before.get(name).map(RawValue::get) != Some(value.get());
    let changed = after.into_pairs().filter(is_new);
    let changed = changed.map(|(name, value)| (name, Given::Json(value)));
    Ok(Item(changed.chain(gone).collect()))
}

impl Stepping {
    fn step(&mut self, step: &Step) -> Result<(), Misstep> {
        let value = || step.value.clone().ok_or(Misstep::Without("value"));
        let from = || step.from.as_ref().ok_or(Misstep::Without("from"));
        match step.op {
            Op::Add => self.edit(&step.path, Edit::Add(value()?)),
            Op::Replace => self.edit(&step.path, Edit::Replace(value()?)),
            Op::Remove => self.edit(&step.path, Edit::Remove),
            Op::Test => {
                let found = self.found(&step.path, "path")?;
                let is_same = self.opener.is_same(&found, &value()?)?;
                if is_same { Ok(()) } else { Err(Misstep::Other) }
            }
            Op::Copy => {
                let found = self.found(from()?, "from")?;
                self.edit(&step.path, Edit::Add(found))
            }
            Op::Move => {
                let from = from()?;
                let found = self.found(from, "from")?;
                if step.path == *from {
                    return Ok(());
                }
                if step.path.0.starts_with(&from.0) {
                    return Err(Misstep::Inside);
                }
                self.edit(from, Edit::Remove)?;
                self.edit(&step.path, Edit::Add(found))
            }
        }
    }

    /// The value at a path.
    fn found(&mut self, path: &Path, what: &'static str) -> Result<Raw, Misstep> {
        let nowhere = Misstep::Nowhere(what);
        let mut found = match path.0.first() {
            None => self.item.to_raw(),
            Some(name) => self.item.get(name).ok_or(nowhere)?.to_owned(),
        };
        self.opener.count(&found)?;
        for part in path.0.iter().skip(1) {
            found = match first(&found) {
                b'{' => self.opener.members(&found)?.remove(part).ok_or(nowhere)?,
                b'[' => {
                    let mut elements = self.opener.elements(&found)?;
                    let at = place(part, elements.len()).ok_or(nowhere)?;
                    elements.swap_remove(at)
                }
                _ => return Err(nowhere),
            };
        }
        Ok(found)
    }

    fn edit(&mut self, path: &Path, edit: Edit) -> Result<(), Misstep> {
        let Some((name, rest)) = path.0.split_first() else {
            return match edit {
                Edit::Add(value) | Edit::Replace(value) if is_object(&value) => {
                    self.item = self.opener.members(&value)?;
                    Ok(())
                }
                _ => Err(Misstep::NoItem),
            };
        };
        member(&mut self.opener, &mut self.item, name, rest, edit)
    }
}

/// Does it at a member, or deeper.
fn member(
    opener: &mut Opener,
    members: &mut Members,
    name: &str,
    rest: &[String],
    edit: Edit,
) -> Result<(), Misstep> {
    let nowhere = Misstep::Nowhere("path");
    if !rest.is_empty() {
        let value = edited(opener, members.get(name).ok_or(nowhere)?, rest, edit)?;
        members.set(name.to_owned(), value);
        return Ok(());
    }
    let is_there = members.get(name).is_some();
    match edit {
        Edit::Add(value) => members.set(name.to_owned(), value),
        Edit::Replace(value) if is_there => members.set(name.to_owned(), value),
        Edit::Remove if is_there => drop(members.remove(name)),
        Edit::Replace(_) | Edit::Remove => return Err(nowhere),
    }
    Ok(())
}

/// The same of a list.
fn element(
    opener: &mut Opener,
    elements: &mut Vec<Raw>,
    part: &str,
    rest: &[String],
    edit: Edit,
) -> Result<(), Misstep> {
    let nowhere = Misstep::Nowhere("path");
    let count = elements.len();
    let place = |count| place(part, count).ok_or(nowhere);
    match edit {
        _ if !rest.is_empty() => {
            let at = place(count)?;
            elements[at] = edited(opener, &elements[at], rest, edit)?;
        }
        // The place behind the last one.
        Edit::Add(value) if part == "-" => elements.push(value),
        Edit::Add(value) => elements.insert(place(count + 1)?, value),
        Edit::Replace(value) => {
            let at = place(count)?;
            elements[at] = value;
        }
        Edit::Remove => drop(elements.remove(place(count)?)),
    }
    Ok(())
}

/// A value with something done in it.
fn edited(
    opener: &mut Opener,
    value: &RawValue,
    path: &[String],
    edit: Edit,
) -> Result<Raw, Misstep> {
    let nowhere = Misstep::Nowhere("path");
    let (part, rest) = path.split_first().ok_or(nowhere)?;
    match first(value) {
        b'{' => {
            let mut members = opener.members(value)?;
            member(opener, &mut members, part, rest, edit)?;
            Ok(members.to_raw())
        }
        b'[' => {
            let mut elements = opener.elements(value)?;
            element(opener, &mut elements, part, rest, edit)?;
            Ok(raw(&elements))
        }
        _ => Err(nowhere),
    }
}

/// A number of a list with so many elements, as RFC 6901 writes it: no sign, no zero before it.
fn place(part: &str, count: usize) -> Option<usize> {
    let is_plain = part == "0" || !part.starts_with(['0', '+']);
    part.parse().ok().filter(|at| is_plain && *at < count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = r#"{"a":{"b": 12345678901234567890.5,"c":[1,2]},"d":"x","e/f":null}"#;

    fn after(steps: &str) -> Result<String, String> {
        let steps: Vec<Step> = serde_json::from_str(steps).map_err(|error| error.to_string())?;
        let item = RawValue::from_string(ITEM.to_owned()).unwrap();
        let changed = stepped(&steps, &item).map_err(|(at, why)| format!("{at}: {why}"))?;
        let members = changed.0.iter().map(|(name, given)| match given {
            Given::Json(raw) => format!("{name}={}", raw.get()),
            Given::Text(text) => text.clone(),
        });
        Ok(members.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn only_what_steps_name_changes() {
        for (steps, expected) in [
            (r#"[{"op":"test","path":"/a/c/1","value":2.0}]"#, ""),
            (
                r#"[{"op":"add","path":"/a/c/-","value":3}]"#,
                r#"a={"b":12345678901234567890.5,"c":[1,2,3]}"#,
            ),
            (
                r#"[{"op":"add","path":"/a/c/0","value":1e400}]"#,
                r#"a={"b":12345678901234567890.5,"c":[1e400,1,2]}"#,
            ),
            (r#"[{"op":"remove","path":"/d"}]"#, "d=null"),
            (
                r#"[{"op":"replace","path":"/d","value":0.10000000000000000000001}]"#,
                "d=0.10000000000000000000001",
            ),
            (
                r#"[{"op":"move","from":"/a/b","path":"/d"}]"#,
                r#"a={"c":[1,2]} d=12345678901234567890.5"#,
            ),
            (r#"[{"op":"copy","from":"/d","path":"/e~1f"}]"#, r#"e/f="x""#),
            (r#"[{"op":"add","path":"/g","value":null}]"#, "g=null"),
            (r#"[{"op":"replace","path":"","value":{"d":"x"}}]"#, "a=null e/f=null"),
        ] {
            assert_eq!(after(steps).as_deref(), Ok(expected), "{steps}");
        }
    }

    #[test]
    fn a_step_that_cannot_be_done_says_why() {
        for (steps, expected) in [
            (r#"[{"op":"test","path":"/d","value":"y"}]"#, "1: the value is another one"),
            (r#"[{"op":"remove","path":"/nothing"}]"#, "1: nothing is at its `path`"),
            (r#"[{"op":"remove","path":"/a/c/2"}]"#, "1: nothing is at its `path`"),
            (r#"[{"op":"remove","path":"/a/c/01"}]"#, "1: nothing is at its `path`"),
            (r#"[{"op":"copy","from":"/x","path":"/d"}]"#, "1: nothing is at its `from`"),
            (r#"[{"op":"add","path":"/d"}]"#, "1: it has no `value`"),
            (r#"[{"op":"remove","path":""}]"#, "1: it leaves no item"),
            (
                r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
                "1: a value cannot be moved into itself",
            ),
        ] {
            assert_eq!(after(steps), Err(expected.to_owned()), "{steps}");
        }
        assert!(after(r#"[{"op":"jump","path":"/d"}]"#).is_err());
        assert!(after(r#"[{"op":"remove","path":"d"}]"#).is_err());
    }

    #[test]
    fn steps_do_not_grow_without_end() {
        let doubles = r#"{"op":"copy","from":"/a","path":"/a/c/-"},"#.repeat(60);
        let steps = format!("[{}]", doubles.trim_end_matches(','));
        assert!(after(&steps).unwrap_err().contains("reads too much"));
    }
}
