//! The rates as bars, for a page that may be white or dark.

use crate::report::Row;
use crate::stand::table::thousands;

const WIDTH: f64 = 860.0;
const NAMES: f64 = 220.0;
const LINE: f64 = 24.0;
const TOP: f64 = 44.0;

/// An SVG of all rows that have a rate.
pub fn svg(rows: &[Row], subtitle: &str) -> String {
    let rows: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((row, row.msgs_per_s?))).collect();
    let most = rows.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let height = TOP + LINE * rows.len() as f64 + 12.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<style>text {{ fill: #59636e }} @media (prefers-color-scheme: dark) {{ text {{ fill: #9198a1 }} }}</style>
<text x="8" y="18" font-weight="bold">messages per second, medians (grey line: least to most)</text>
<text x="8" y="35" font-size="11">{}</text>
"#,
        escaped(subtitle)
    );
    for (number, (row, rate)) in rows.into_iter().enumerate() {
        let y = TOP + LINE * number as f64;
        // What is left of the width carries the figure behind the longest bar.
        let scale = (WIDTH - NAMES - 90.0) / most.max(row.msgs_per_s_max.unwrap_or(rate));
        let bar = (rate * scale).max(1.0);
        let middle = y + LINE / 2.0;
        let text = middle + 4.5;
        let (name, height, color) = (escaped(row.variant), LINE - 8.0, color(row.variant));
        svg.push_str(&format!(
            "<text x=\"{:.0}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"{height}\" rx=\"2\" fill=\"{color}\"/>\n",
            NAMES - 8.0,
            y + 4.0,
        ));
        let mut end = NAMES + bar;
        if let (Some(least), Some(most)) = (row.msgs_per_s_min, row.msgs_per_s_max) {
            let (from, to) = (NAMES + least * scale, NAMES + most * scale);
            end = end.max(to);
            svg.push_str(&format!(
                "<path d=\"M{from:.1} {middle:.1}H{to:.1}\" stroke=\"#8c959f\" stroke-width=\"2\"/>\n"
            ));
        }
        svg.push_str(&format!("<text x=\"{:.1}\" y=\"{text:.1}\">{}</text>\n", end + 8.0, thousands(rate)));
    }
    svg.push_str("</svg>\n");
    svg
}

/// This library stands out from what it is compared with.
fn color(variant: &str) -> &'static str {
    let own = ["per_message", "coalesced", "fields_", "map_"];
    if own.iter().any(|beginning| variant.starts_with(beginning)) {
        "#2f81f7"
    } else if matches!(variant, "xread" | "xread_raw" | "evalsha_empty") {
        "#8c959f"
    } else {
        "#bf8700"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
