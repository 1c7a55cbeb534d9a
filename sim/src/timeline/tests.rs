use super::*;

fn sample() -> Timeline {
    let op = |lane, from_us, until_us, label: &str, ending| Bar {
        lane,
        from_us,
        until_us,
        label: label.into(),
        detail: format!("a caller of node {lane} does <{label}> & waits"),
        ending,
    };
    let message = |from, to, sent_us, kind: &str| Message {
        from,
        to,
        sent_us,
        arrived_us: Some(sent_us + 30_000),
        family: "records",
        kind: kind.into(),
        detail: "\"quoted\"".into(),
        bytes: 77,
    };
    Timeline {
        title: "Seed 7 <World>".into(),
        about: "Three nodes keep files for each other. One of them forgets.".into(),
        lanes: vec!["node 0".into(), "node 1".into(), "node 2".into()],
        bars: vec![
            op(0, 100_000, Some(400_000), "put 1", Ending::Well),
            op(1, 200_000, Some(900_000), "get 1", Ending::Badly),
            op(1, 300_000, None, "list", Ending::Open),
        ],
        spans: vec![
            Span {
                lanes: vec![2],
                from_us: 500_000,
                until_us: 700_000,
                label: "power-loss".into(),
                detail: "node 2 loses power".into(),
            },
            Span {
                lanes: Vec::new(),
                from_us: 0,
                until_us: 1_000_000,
                label: "latency-spike".into(),
                detail: "every message takes longer".into(),
            },
        ],
        outages: vec![Outage { lane: 2, from_us: 500_000, until_us: Some(700_000) }],
        messages: vec![message(0, 1, 120_000, "announce"), message(1, 0, 170_000, "announced")],
        marks: vec![Mark { lane: Some(2), at_us: 500_000, kind: MarkKind::Loss, detail: "3 blobs".into() }],
        stocks: vec![
            Stock { lane: 1, at_us: 400_000, whole: 3, damaged: 0, more: 3, less: 0, detail: "3 blobs & more".into() },
            Stock { lane: 1, at_us: 900_000, whole: 1, damaged: 1, more: 0, less: 2, detail: "1 of 2 damaged".into() },
        ],
        healed_us: Some(1_000_000),
        end_us: 61_000_000,
        violation: Some(Violation { oracle: "durability".into(), at_us: 61_000_000, what: "file 1 is <gone>".into() }),
        story: "Once upon a <time>.".into(),
    }
}

#[test]
fn a_page_holds_all_operations_faults_and_the_broken_rule() {
    let page = sample().page();
    for (what, count) in [
        (r#"<g class="op well">"#, 1),
        (r#"<g class="op badly">"#, 1),
        (r#"<g class="op open">"#, 1),
        (r#"<g class="fault">"#, 2),
        (r#"class="band""#, 4),
        (r#"class="down""#, 1),
        (r#"<g class="message f0""#, 2),
        (r#"<g class="violation">"#, 1),
        (r#"<g class="healed">"#, 1),
        (">put 1</text>", 1),
        (">power-loss</text>", 1),
        ("node 2 loses power", 1),
        ("Lost: 3 blobs", 1),
        (r#"<g class="stock">"#, 2),
        ("node 1's disk: 3 blobs &amp; more\n0.4 s to 0.9 s".replace('\'', "&#39;").as_str(), 1),
        (r#"<rect class="damaged""#, 1),
        (r#"<line class="stored""#, 1),
        (r#"<line class="gone""#, 1),
        ("file 1 is &lt;gone&gt;", 2),
        ("The same in words", 1),
    ] {
        assert_eq!(page.matches(what).count(), count, "{what}");
    }
}

#[test]
fn a_page_needs_nothing_but_itself_and_takes_no_text_for_markup() {
    let page = sample().page();
    for outside in ["http:", "https:", "//cdn", " src=", "<link", "@import", "url(\""] {
        assert!(!page.contains(outside), "{outside}");
    }
    for raw in ["<World>", "<put", "<gone>", "<time>", "\"quoted\""] {
        assert!(!page.contains(raw), "{raw}");
    }
    assert!(page.contains("Seed 7 &lt;World&gt;") && page.contains("does &lt;put 1&gt; &amp; waits"));
    assert!(page.contains("&quot;quoted&quot;"));
}

#[test]
fn a_legend_explains_what_is_there_and_nothing_else() {
    let all = sample().page();
    assert!(all.contains("one that failed") && all.contains("the node is down") && all.contains("the broken rule"));
    let quiet = Timeline { end_us: 1_000_000, ..Timeline::default() }.page();
    assert!(
        !quiet.contains("one that failed") && !quiet.contains("the node is down") && !quiet.contains("on its disk")
    );
    assert!(quiet.contains("No rule is broken in 1 s."));
}

#[test]
fn a_page_is_the_same_every_time() {
    assert_eq!(sample().page(), sample().page());
}

#[test]
fn ticks_closer_than_a_millisecond_show_microseconds() {
    let bar = |from_us| Bar {
        lane: 0,
        from_us,
        until_us: Some(from_us + 1),
        label: String::new(),
        detail: String::new(),
        ending: Ending::Well,
    };
    let lanes = vec!["node 0".into()];
    let timeline = |times: [u64; 2]| Timeline {
        lanes: lanes.clone(),
        bars: times.map(bar).into(),
        end_us: times[1] + 1,
        ..Timeline::default()
    };
    let fine = timeline([412, 987]).page();
    assert!(fine.contains(">0.000412 s</text>") && fine.contains(">0.000987 s</text>"), "{fine}");
    assert!(timeline([5_412, 9_987]).page().contains(">0.005 s</text>"));
}

#[test]
fn seconds_have_the_digits_they_need() {
    let texts = [0, 1, 1_500_000, 61_000_000].map(seconds);
    assert_eq!(texts, ["0 s", "0.000001 s", "1.5 s", "61 s"]);
}
