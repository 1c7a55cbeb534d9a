//! Reports in JUnit's XML, which CI systems show.

use std::fmt::Write as _;
use std::time::Duration;

use crate::timeline::escape;

/// A suite of tests that were run.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub time: Duration,
    /// Its tests.
    pub tests: Vec<Test>,
    /// Facts about it, by name.
    pub properties: Vec<(String, String)>,
}

/// A test that was run.
#[derive(Clone, Debug, Default)]
pub struct Test {
    /// Its group.
    pub class: String,
    /// Its name.
    pub name: String,
    /// Why it failed, in one line and in full, if it did.
    pub failure: Option<(String, String)>,
}

impl Suite {
    /// The file's text.
    #[must_use]
    pub fn xml(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        let failures = self.tests.iter().filter(|test| test.failure.is_some()).count();
        let (name, tests, time) = (escape(&self.name), self.tests.len(), self.time.as_secs_f64());
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{time:.3}\">"
        );
        xml.push_str("    <properties>\n");
        for (name, value) in &self.properties {
            let _ = writeln!(xml, "      <property name=\"{}\" value=\"{}\"/>", escape(name), escape(value));
        }
        xml.push_str("    </properties>\n");
        self.tests.iter().for_each(|test| test.write(&mut xml));
        xml.push_str("  </testsuite>\n</testsuites>\n");
        xml
    }
}

impl Test {
    fn write(&self, xml: &mut String) {
        let (class, name) = (escape(&self.class), escape(&self.name));
        let _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{name}\"");
        match &self.failure {
            None => xml.push_str("/>\n"),
            Some((line, full)) => {
                let (line, full) = (escape(line), escape(full));
                let _ = writeln!(xml, ">\n      <failure message=\"{line}\">{full}</failure>\n    </testcase>");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_valid_whatever_is_in_it() {
        let bad = "a <b> & \"c\" 'd' \u{1b}[0m ]]>";
        let failure = Some((bad.into(), format!("{bad}\nand more")));
        let suite = Suite {
            name: bad.into(),
            time: Duration::from_millis(1500),
            tests: vec![
                Test { class: "world".into(), name: "durability".into(), failure: None },
                Test { class: "world".into(), name: bad.into(), failure },
            ],
            properties: vec![("seeds".into(), "12".into())],
        };
        let xml = suite.xml();
        assert!(xml.contains(r#"tests="2" failures="1" errors="0" time="1.500">"#), "{xml}");
        assert!(xml.contains(r#"<testcase classname="world" name="durability"/>"#), "{xml}");
        let safe = "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; \u{fffd}[0m ]]&gt;";
        assert!(xml.contains(&format!("<failure message=\"{safe}\">{safe}\nand more</failure>")), "{xml}");
        assert!(!xml.contains('\u{1b}') && !xml.contains("<b>"));
        let opened = xml.matches("<test").count() + xml.matches("<failure").count() + xml.matches("<propert").count();
        let closed = xml.matches("</").count() + xml.matches("/>").count();
        assert_eq!(opened, closed, "{xml}");
    }
}
