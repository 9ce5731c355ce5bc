//! JSON that stays JSON: read over, compacted, or written out again.
//!
//! In: the text of a value. Out: the same value as text. Every byte is checked and nesting is
//! bounded, as where columns are made of it; but no column, type or table is known here.

use jiter::{Jiter, Peek};

use crate::parse::Stop;

/// Reads over a value, checking every byte of it and how deep it nests.
pub(crate) fn skip(
    jiter: &mut Jiter<'_>,
    peek: Peek,
    depth: usize,
    depth_max: usize,
) -> Result<(), Stop> {
    if depth > depth_max {
        return Err(Stop::TooDeep);
    }
    match peek {
        Peek::Object => {
            let mut more = jiter.known_object()?.is_some();
            while more {
                let peek = jiter.peek()?;
                skip(jiter, peek, depth + 1, depth_max)?;
                more = jiter.next_key()?.is_some();
            }
        }
        Peek::Array => {
            let mut next = jiter.known_array()?;
            while let Some(peek) = next {
                skip(jiter, peek, depth + 1, depth_max)?;
                next = jiter.array_step()?;
            }
        }
        Peek::String => {
            jiter.known_str()?;
        }
        peek => jiter.known_skip(peek)?,
    }
    Ok(())
}

/// Copies JSON without the white space between its tokens.
pub(crate) fn compact(text: &str, target: &mut String) {
    let mut is_inside = false;
    let mut is_escaped = false;
    let mut kept = 0;
    for (index, byte) in text.bytes().enumerate() {
        if is_inside {
            is_inside = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            target.push_str(&text[kept..index]);
            kept = index + 1;
        } else {
            is_inside = byte == b'"';
        }
    }
    target.push_str(&text[kept..]);
}

/// Writes JSON out again, each object with the last value of every key.
pub(crate) fn without_repeats(
    record: &[u8],
    depth_max: usize,
    target: &mut Vec<u8>,
) -> Result<(), Stop> {
    let mut jiter = Jiter::new(record);
    let peek = jiter.peek()?;
    rewrite(&mut jiter, peek, 1, depth_max, target)?;
    Ok(jiter.finish()?)
}

fn rewrite(
    jiter: &mut Jiter<'_>,
    peek: Peek,
    depth: usize,
    depth_max: usize,
    target: &mut Vec<u8>,
) -> Result<(), Stop> {
    if depth > depth_max + 1 {
        return Err(Stop::TooDeep);
    }
    let start = jiter.current_index();
    match peek {
        Peek::Object => {
            let mut members: Vec<(String, Vec<u8>)> = Vec::new();
            let mut key = jiter.known_object()?.map(str::to_owned);
            while let Some(name) = key {
                let mut value = Vec::new();
                let peek = jiter.peek()?;
                rewrite(jiter, peek, depth + 1, depth_max, &mut value)?;
                members.retain(|(other, _)| *other != name);
                members.push((name, value));
                key = jiter.next_key()?.map(str::to_owned);
            }
            target.push(b'{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    target.push(b',');
                }
                target.extend(serde_json::Value::String(name).to_string().bytes());
                target.push(b':');
                target.extend(value);
            }
            target.push(b'}');
        }
        Peek::Array => {
            target.push(b'[');
            let mut next = jiter.known_array()?;
            let mut is_first = true;
            while let Some(peek) = next {
                if !is_first {
                    target.push(b',');
                }
                is_first = false;
                rewrite(jiter, peek, depth + 1, depth_max, target)?;
                next = jiter.array_step()?;
            }
            target.push(b']');
        }
        peek => {
            skip(jiter, peek, depth, depth_max + 1)?;
            target.extend(jiter.slice_to_current(start));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_only_between_tokens() {
        let mut out = String::new();
        compact("{ \"a b\" : [ 1 ,\n\"\\\" x\" , \"\\\\\" ] }", &mut out);
        assert_eq!(out, "{\"a b\":[1,\"\\\" x\",\"\\\\\"]}");
    }

    #[test]
    fn the_last_of_repeated_keys_is_kept_at_every_depth() {
        for (record, once) in [
            ("{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2,\"a\":3}"),
            ("[{\"a\":{\"c\":1,\"c\":1.50}},{}]", "[{\"a\":{\"c\":1.50}},{}]"),
        ] {
            let mut out = Vec::new();
            assert!(without_repeats(record.as_bytes(), 8, &mut out).is_ok());
            assert_eq!(String::from_utf8(out).expect("UTF-8"), once);
        }
    }
}
