use super::*;

#[test]
fn fields_are_set_by_name_as_json_or_bare() {
    let mut shape = Shape::of(Tier::World);
    shape.set("ops=[10, 20]").unwrap();
    shape.set("duration_ms=5000").unwrap();
    shape.set("families=network,disk").unwrap();
    shape.set("chunk_sizes=512").unwrap();
    assert_eq!(shape.ops, (10, 20));
    assert_eq!(shape.duration_ms, 5_000);
    assert_eq!(shape.families, [Family::Network, Family::Disk]);
    assert_eq!(shape.chunk_sizes, [512]);
    shape.set("families=").unwrap();
    assert_eq!(shape.families, []);
}

#[test]
fn a_wrong_setting_changes_nothing_and_says_what_is_wrong() {
    let mut shape = Shape::of(Tier::World);
    let before = shape.clone();
    let error = shape.set("opps=3").unwrap_err();
    assert!(error.to_string().contains("files"), "{error}");
    assert!(matches!(shape.set("ops=[20,10]"), Err(ShapeError::BadValue { .. })));
    assert!(matches!(shape.set("families=plague"), Err(ShapeError::BadValue { .. })));
    assert!(matches!(shape.set("ops"), Err(ShapeError::NotAnAssignment(_))));
    assert_eq!(shape, before);
}
