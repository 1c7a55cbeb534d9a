//! The Range header (RFC 9110, section 14).

use axum::http::HeaderMap;
use axum::http::header::RANGE;
use forever_core::command::RangeRequest;

/// The one range asked for. What is not a single valid byte range is ignored, as the RFC wants, and the whole is served.
pub(super) fn of(headers: &HeaderMap) -> Option<RangeRequest> {
    let mut values = headers.get_all(RANGE).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    parse(set.trim())
}

/// One range: `A-B`, `A-` or `-N`.
pub(crate) fn parse(text: &str) -> Option<RangeRequest> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        return Some(RangeRequest::Suffix { len: number(last)? });
    }
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    if last.is_some_and(|last| last < first) {
        return None;
    }
    Some(RangeRequest::From { first, last })
}

/// Digits only: `str::parse` would take a sign too.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_inclusive_open_or_a_suffix() {
        let from = |first, last| Some(RangeRequest::From { first, last });
        assert_eq!(parse("0-0"), from(0, Some(0)));
        assert_eq!(parse("5-9"), from(5, Some(9)));
        assert_eq!(parse("5-"), from(5, None));
        assert_eq!(parse("-7"), Some(RangeRequest::Suffix { len: 7 }));
    }

    #[test]
    fn what_is_not_one_range_is_ignored() {
        for text in ["", "-", "9-5", "a-b", "1-2,4-5", "+1-2", "1", "--2", "99999999999999999999-"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
