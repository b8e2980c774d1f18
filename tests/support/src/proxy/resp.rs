//! Where a request or a reply of RESP ends.

/// The length of the first whole frame, `None` while it is not complete. A frame of a type that RESP does not have
/// is taken for an inline command, which ends with its line.
pub(super) fn frame_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut values = 1;
    while values > 0 {
        let rest = bytes.get(at..)?;
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let (kind, number) = rest[..line].split_at_checked(1).unwrap_or_default();
        // A null has the length -1.
        let number: Option<usize> = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        let (text, inner) = match kind {
            b"$" | b"!" | b"=" => (number.map_or(0, |length| length + 2), 0),
            b"*" | b"~" | b">" => (0, number.unwrap_or(0)),
            b"%" => (0, 2 * number.unwrap_or(0)),
            // Attributes come before the value that they are about.
            b"|" => (0, 2 * number.unwrap_or(0) + 1),
            _ => (0, 0),
        };
        at += line + 2 + text;
        values = values - 1 + inner;
    }
    (at <= bytes.len()).then_some(at)
}

/// Whether this frame is a message that no request asked for.
pub(super) fn is_push(frame: &[u8]) -> bool {
    frame.first() == Some(&b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_where_its_last_value_does() {
        let frames: [&[u8]; 12] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":1\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$4\r\na\r\nb\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*2\r\n$3\r\nGET\r\n*2\r\n:1\r\n$1\r\nk\r\n",
            b"%1\r\n+a\r\n*1\r\n_\r\n",
            b"|1\r\n+ttl\r\n:1\r\n$1\r\nv\r\n",
            b"PING\r\n",
        ];
        for frame in frames {
            let shown = String::from_utf8_lossy(frame);
            assert_eq!(frame_length(&[frame, b"+next\r\n"].concat()), Some(frame.len()), "{shown:?}");
            for cut in 0..frame.len() {
                assert_eq!(frame_length(&frame[..cut]), None, "{shown:?} cut to {cut}");
            }
        }
    }
}
