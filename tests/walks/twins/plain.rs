//! Text in which two runs of the same operations can be compared: what comes from a clock has a name in place of its value.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a clock may say during a walk, in milliseconds: leases end ten minutes from now.
const AROUND_NOW_MS: u64 = 3_600_000;

/// Names for the IDs and tokens that a server's clock has made, in the order in which they were seen.
#[derive(Default)]
pub struct Plain {
    names: HashMap<(&'static str, String), usize>,
}

impl Plain {
    /// Numbers from a clock replaced: an ID of the stream that the text is about, and a token's time, by a name of their own,
    /// any other time by a word. Whether two streams have got entries in the same millisecond is chance.
    pub fn text(&mut self, stream: &'static str, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|char: char| char.is_ascii_digit()) {
            plain.push_str(&rest[..start]);
            rest = &rest[start..];
            let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
            let mut end = digits;
            match digits {
                13 if is_now(&rest[..13]) => {
                    let behind = &rest[14.min(rest.len())..];
                    let more = behind.find(|char: char| !char.is_ascii_digit()).unwrap_or(behind.len());
                    if rest[13..].starts_with('-') && more > 0 {
                        end = 14 + more;
                        plain.push_str(&self.name(stream, &rest[..end]));
                    } else {
                        plain.push_str("<time>");
                    }
                }
                16 if is_now(&rest[..13]) => plain.push_str(&self.name("", &rest[..16])),
                _ => plain.push_str(&rest[..digits]),
            }
            rest = &rest[end..];
        }
        plain + rest
    }

    fn name(&mut self, stream: &'static str, value: &str) -> String {
        let next = self.names.len();
        format!("<{}>", self.names.entry((stream, value.to_owned())).or_insert(next))
    }
}

fn is_now(ms: &str) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    ms.parse::<u64>().is_ok_and(|ms| ms.abs_diff(now) < AROUND_NOW_MS)
}

#[test]
fn what_a_clock_has_made_has_a_name() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut plain = Plain::default();
    let text = format!("7-1 {now}-0 {now}-1 a.1.2.{now}123:4 {now}-0 {now} 99999999999999-0 {now}-");
    assert_eq!(plain.text("in", &text), "7-1 <0> <1> a.1.2.<2>:4 <0> <time> 99999999999999-0 <time>-");
    assert_eq!(plain.text("out", &format!("{now}-0 a.1.2.{now}123")), "<3> a.1.2.<2>");
}
