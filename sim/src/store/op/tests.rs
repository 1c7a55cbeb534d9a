use super::*;

#[test]
fn a_range_is_what_of_it_lies_in_the_file() {
    for (range, within) in [
        (Range::Slice { first: 10, len: 5 }, Some((10, 15))),
        (Range::Slice { first: 98, len: 5 }, Some((98, 100))),
        (Range::Slice { first: 100, len: 5 }, None),
        (Range::From { from: 99 }, Some((99, 100))),
        (Range::From { from: 100 }, None),
        (Range::Last { last: 30 }, Some((70, 100))),
        (Range::Last { last: 101 }, Some((0, 100))),
        (Range::Last { last: 0 }, None),
    ] {
        assert_eq!(range.within(100), within, "{range:?}");
        assert_eq!(range.within(0), None, "{range:?}");
    }
}

#[test]
fn operations_come_back_from_json_and_those_that_lack_what_came_later_are_plain() {
    let reader = Reader { abandon_after: Some(2), slow_ms: 7 };
    for range in [Range::Slice { first: 1, len: 2 }, Range::From { from: 3 }, Range::Last { last: 4 }] {
        let get = OpKind::Get { file: 1, range: Some(range), old: None, reader };
        let text = serde_json::to_string(&get).unwrap();
        assert_eq!(serde_json::from_str::<OpKind>(&text).unwrap(), get, "{text}");
    }
    let old = r#"{"Get":{"file":1,"range":null,"old":null}}"#;
    assert_eq!(serde_json::from_str::<OpKind>(old).unwrap(), OpKind::get(1));
    let old = r#"{"Put":{"file":1,"content":{"salt":2,"len":3,"changed":null},"abandon_after":null}}"#;
    let content = Content { salt: 2, len: 3, changed: None };
    assert_eq!(serde_json::from_str::<OpKind>(old).unwrap(), OpKind::put(1, content));
}

#[test]
fn a_put_that_is_not_ended_or_of_another_length_than_announced_comes_to_nothing() {
    let put = |len, abandon_after, length| {
        let said = Said { length, details: None };
        let what =
            OpKind::Put { file: 1, content: Content { salt: 1, len, changed: None }, abandon_after, said, slow_ms: 0 };
        what.comes_to_nothing(64)
    };
    assert!(!put(100, None, Length::Right) && !put(100, None, Length::Unknown) && !put(100, None, Length::Wrong(100)));
    assert!(put(100, None, Length::Wrong(99)) && put(0, None, Length::Wrong(1)));
    // Its caller goes away once it has given the last of these chunks.
    assert!(put(100, Some(1), Length::Right) && put(128, Some(2), Length::Right));
    assert!(!put(100, Some(2), Length::Right) && !put(0, Some(1), Length::Right));
}

#[test]
fn a_part_has_the_names_of_its_folder_after_its_start() {
    let part = Part { folder: Some(1), after: Some(5), limit: 1 };
    let has = |file| part.has(names::of(file).as_str());
    assert!(has(9) && !has(5) && !has(1) && !has(2));
    assert!(Part::ALL.has(names::of(3).as_str()));
}
