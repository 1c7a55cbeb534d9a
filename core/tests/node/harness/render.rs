//! Traces as text: one output a line, byte strings as their length and a short hash, so that a snapshot is short and shows
//! every change.

use std::fmt::Write;

use forever_core::output::Output;

/// The trace, one output a line.
pub(crate) fn render(outputs: &[Output]) -> String {
    let mut text = String::new();
    for output in outputs {
        writeln!(text, "{}", shorten(&format!("{output:?}"))).unwrap();
    }
    text
}

/// Replaces every `b"..."` by the length and a short hash of what is in it.
fn shorten(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("b\"") {
        let (before, string) = rest.split_at(start);
        // The end of another string, not the start of one of bytes.
        if before.ends_with(|before: char| before.is_ascii_alphanumeric()) {
            out.push_str(before);
            out.push('b');
            rest = &string[1..];
            continue;
        }
        let end = end_of_string(&string[2..]) + 2;
        let inner = &string[2..end];
        out.push_str(before);
        if inner.is_empty() {
            out.push_str("[]");
        } else {
            write!(out, "[{}]", &blake3::hash(inner.as_bytes()).to_hex()[..8]).unwrap();
        }
        rest = &string[end + 1..];
    }
    out.push_str(rest);
    out
}

/// Where the closing quote is.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (place, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place,
            _ => {}
        }
    }
    text.len()
}
