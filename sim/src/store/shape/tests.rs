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

#[test]
fn no_field_can_be_set_to_what_scenarios_cannot_be_drawn_from() {
    for (tier, assignment) in [
        "chunk_sizes=0",
        "chunk_sizes=[64,4294967295]",
        "chunk_sizes=",
        "settle_ms=9999",
        "settle_ms=18446744073709551615",
        "duration_ms=18446744073709551615",
        "duration_ms=1999",
        "families_per_mille=1001",
        "heal_all_per_mille=1001",
        "chunks_max=0",
        "chunks_max=4294967295",
        "file_bytes_max=0",
        "file_bytes_max=4294967295",
        "ops=[0,4294967295]",
        "faults=[0,4294967295]",
        "files=[0,3]",
        "files=[1,4294967295]",
        "nodes=[1,3]",
        "nodes=[3,201]",
        "nodes_usual=1",
        "latency_us=[0,10]",
        "latency_us=[50,10000001]",
    ]
    .into_iter()
    .flat_map(|assignment| Tier::ALL.map(|tier| (tier, assignment)))
    {
        let error = Shape::of(tier).set(assignment).unwrap_err();
        assert!(matches!(error, ShapeError::BadValue { .. }), "{assignment}: {error}");
    }
}

#[test]
fn scenarios_can_be_drawn_at_every_bound() {
    for assignments in [
        &["ops=[3,3]", "settle_ms=86400000", "duration_ms=86400000", "faults=[50,50]"][..],
        &[
            "ops=[3,3]",
            "chunk_sizes=1",
            "chunks_max=100000",
            "file_bytes_max=268435456",
            "nodes=[2,2]",
            "nodes_usual=2",
        ],
        &["ops=[3,3]", "chunks_max=1", "file_bytes_max=1", "latency_us=[10000000,10000000]", "duration_ms=2000"],
        &["ops=[3,3]", "files=[100000,100000]", "heal_all_per_mille=0", "families_per_mille=1000", "nodes=[200,200]"],
    ] {
        for tier in Tier::ALL {
            let mut shape = Shape::of(tier);
            assignments.iter().for_each(|assignment| shape.set(assignment).unwrap());
            let largest = format!("chunk_sizes={CHUNK_LEN_MAX}");
            for chunk_sizes in ["nodes_usual=3", largest.as_str()] {
                shape.set(chunk_sizes).unwrap();
                for seed in 0..20 {
                    assert_eq!(
                        crate::simulation::Scenario::check(&super::super::Scenario::draw(seed, tier, &shape)),
                        Ok(())
                    );
                }
            }
        }
    }
}
