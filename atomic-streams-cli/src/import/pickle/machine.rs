//! The machine that a pickle is a program for, with only what builds plain values.

use std::borrow::Cow;
use std::collections::HashMap;

use super::value::{Maker, Node, Place, Tree};
use super::{MAX_BYTES, MAX_STEPS, MAX_VALUES, Refusal, opcode};

type Done<T = ()> = Result<T, Refusal>;

/// The newest protocol that there is.
const NEWEST: u8 = 5;

pub struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Place>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
    /// Bytes that may still be copied from what lies here already.
    copies: usize,
}

impl<'a> Machine<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copies: MAX_BYTES,
        }
    }

    pub fn run(mut self) -> Done<Tree<'a>> {
        for _ in 0..MAX_STEPS {
            let code = self.byte()?;
            if code == b'.' {
                let root = self.pop()?;
                if !self.stack.is_empty() || !self.marks.is_empty() {
                    return Err(Refusal::broken());
                }
                if self.at != self.input.len() {
                    return Err(Refusal::new(format!("{} bytes follow its end", self.input.len() - self.at)));
                }
                return Ok(Tree { nodes: self.nodes, root });
            }
            self.step(code)?;
        }
        Err(Refusal::new(format!("it has more than {MAX_STEPS} instructions")))
    }

    fn step(&mut self, code: u8) -> Done {
        match code {
            0x80 => match self.byte()? {
                0..=NEWEST => Ok(()),
                newer => Err(Refusal::new(format!("it is of protocol {newer}, and protocols up to {NEWEST} are read"))),
            },
            0x95 => self.length(8).and_then(|length| match length <= self.input.len() - self.at {
                true => Ok(()),
                false => Err(Refusal::cut()),
            }),
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'J' | b'K' | b'M' | b'I' | b'L' | 0x8a | 0x8b | b'F' | b'G' => self.number(code),
            b'V' | b'X' | 0x8c | 0x8d => self.text(code),
            b'B' | b'C' | 0x8e => {
                let length = self.length(match code {
                    b'B' => 4,
                    b'C' => 1,
                    _ => 8,
                })?;
                let bytes = self.take(length)?;
                self.push(Node::Bytes(bytes.into()))
            }
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            0x8f => self.push(Node::Set(Vec::new())),
            b'(' => {
                bounded(self.marks.len())?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'l' => self.marked().and_then(|held| self.push(Node::List(held))),
            b't' => self.marked().and_then(|held| self.push(Node::Tuple(held))),
            0x91 => self.marked().and_then(|held| self.push(Node::FrozenSet(held))),
            b'd' => self.marked().and_then(|held| self.push(Node::Dict(pairs(held)?))),
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or_else(Refusal::broken)?;
                self.above(from).and_then(|held| self.push(Node::Tuple(held)))
            }
            b'a' => self.pop().and_then(|held| self.fill(vec![held], b'e')),
            b'e' | 0x90 | b'u' => self.marked().and_then(|held| self.fill(held, code)),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.fill(vec![key, value], b'u')
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let key = match code {
                    0x94 => self.memo.len() as u64,
                    _ => self.key(code, b'p', b'q')?,
                };
                let top = *self.stack.last().filter(|_| !self.is_at_mark()).ok_or_else(Refusal::broken)?;
                bounded(self.memo.len())?;
                self.memo.insert(key, top);
                Ok(())
            }
            b'g' | b'h' | b'j' => {
                let key = self.key(code, b'g', b'h')?;
                let held = *self.memo.get(&key).ok_or_else(Refusal::broken)?;
                self.put(held)
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.named(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Text(module), Node::Text(name)) = (self.node(module), self.node(name)) else {
                    return Err(Refusal::broken());
                };
                let maker = Maker::named(module, name).ok_or_else(|| Refusal::of_type(module, name))?;
                self.push(Node::Maker(maker))
            }
            b'R' => self.make(),
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                Err(Refusal::of_type(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name)))
            }
            0x96 => Err(Refusal::of_type("builtins", "bytearray")),
            other => Err(Refusal::new(format!(
                "its instruction {} (0x{other:02x}, at byte {}) builds no plain value",
                opcode::name(other),
                self.at - 1
            ))),
        }
    }

    /// A name that stands for a plain value, or for what is none.
    fn named(&mut self, module: &str, name: &str) -> Done {
        let maker = Maker::named(module, name).ok_or_else(|| Refusal::of_type(module, name))?;
        self.push(Node::Maker(maker))
    }

    /// Sets and bytes of older protocols: the name of what makes them, and what of. Nothing is called.
    fn make(&mut self) -> Done {
        let (of, maker) = (self.pop()?, self.pop()?);
        let (Node::Tuple(of), Node::Maker(maker)) = (self.node(of), self.node(maker)) else {
            return Err(Refusal::new("its instruction REDUCE would call something"));
        };
        let (made, bytes) = match (maker, of.as_slice()) {
            (Maker::Set | Maker::FrozenSet, [held]) => {
                let Node::List(held) = self.node(*held) else { return Err(Refusal::broken()) };
                let bytes = held.len() * size_of::<Place>();
                self.copies.checked_sub(bytes).ok_or_else(too_much)?;
                let held = held.clone();
                (if *maker == Maker::Set { Node::Set(held) } else { Node::FrozenSet(held) }, bytes)
            }
            (Maker::Bytes, []) => (Node::Bytes(Cow::Borrowed(b"")), 0),
            (Maker::Encode, [text, encoding]) => match (self.node(*text), self.node(*encoding)) {
                (Node::Text(text), Node::Text(encoding)) if encoding == "latin1" => {
                    self.copies.checked_sub(text.len()).ok_or_else(too_much)?;
                    let bytes = text.chars().map(|each| u8::try_from(each).map_err(|_| Refusal::broken()));
                    (Node::Bytes(bytes.collect::<Result<Vec<_>, _>>()?.into()), text.len())
                }
                _ => return Err(Refusal::broken()),
            },
            _ => return Err(Refusal::broken()),
        };
        self.copies -= bytes;
        self.push(made)
    }

    fn number(&mut self, code: u8) -> Done {
        let node = match code {
            b'K' => Node::Int(self.length(1)? as i64),
            b'M' => Node::Int(self.length(2)? as i64),
            b'J' => Node::Int(i64::from(self.length(4)? as u32 as i32)),
            b'G' => {
                let bytes = self.take(8)?.try_into().map_err(|_| Refusal::cut())?;
                Node::Float(f64::from_be_bytes(bytes))
            }
            b'F' => Node::Float(self.words()?.parse().map_err(|_| Refusal::broken())?),
            b'I' => match self.words()? {
                "00" => Node::Bool(false),
                "01" => Node::Bool(true),
                digits => decimal(digits)?,
            },
            b'L' => decimal(self.words()?.trim_end_matches('L'))?,
            _ => {
                let length = self.length(if code == 0x8a { 1 } else { 4 })?;
                let bytes = self.take(length)?;
                let sign = bytes.last().is_some_and(|last| *last >= 0x80);
                if bytes.len() > 16 {
                    return Err(too_large());
                }
                let mut wide = [if sign { 0xff } else { 0 }; 16];
                wide[..bytes.len()].copy_from_slice(bytes);
                int(i128::from_le_bytes(wide))?
            }
        };
        self.push(node)
    }

    fn text(&mut self, code: u8) -> Done {
        if code == b'V' {
            let line = self.line()?;
            return unescaped(line).and_then(|text| self.push(Node::Text(text.into())));
        }
        let length = self.length(match code {
            0x8c => 1,
            b'X' => 4,
            _ => 8,
        })?;
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| Refusal::new("it holds a str with half of a surrogate pair, which is no Unicode text"))?;
        self.push(Node::Text(text.into()))
    }

    /// Puts what was collected into the list, set or dict below it.
    fn fill(&mut self, held: Vec<Place>, code: u8) -> Done {
        let at = *self.stack.last().filter(|_| !self.is_at_mark()).ok_or_else(Refusal::broken)?;
        match (code, &mut self.nodes[at as usize]) {
            (b'e', Node::List(into)) | (0x90, Node::Set(into)) => into.extend(held),
            (b'u', Node::Dict(into)) => into.extend(pairs(held)?),
            _ => return Err(Refusal::broken()),
        }
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) -> Done {
        bounded(self.nodes.len())?;
        let place = Place::try_from(self.nodes.len()).map_err(|_| Refusal::broken())?;
        self.nodes.push(node);
        self.put(place)
    }

    fn put(&mut self, place: Place) -> Done {
        bounded(self.stack.len())?;
        self.stack.push(place);
        Ok(())
    }

    fn pop(&mut self) -> Done<Place> {
        if self.is_at_mark() {
            return Err(Refusal::broken());
        }
        self.stack.pop().ok_or_else(Refusal::broken)
    }

    /// Nothing lies above the last mark.
    fn is_at_mark(&self) -> bool {
        self.marks.last().is_some_and(|mark| *mark >= self.stack.len())
    }

    /// Everything above the last mark, which goes with it.
    fn marked(&mut self) -> Done<Vec<Place>> {
        let mark = self.marks.pop().ok_or_else(Refusal::broken)?;
        self.above(mark)
    }

    fn above(&mut self, from: usize) -> Done<Vec<Place>> {
        if from > self.stack.len() || self.marks.last().is_some_and(|mark| from < *mark) {
            return Err(Refusal::broken());
        }
        Ok(self.stack.split_off(from))
    }

    fn node(&self, place: Place) -> &Node<'a> {
        &self.nodes[place as usize]
    }

    /// The memo's key: a line for `line`, a byte for `byte`, else four.
    fn key(&mut self, code: u8, line: u8, byte: u8) -> Done<u64> {
        if code == line {
            return self.words()?.parse().map_err(|_| Refusal::broken());
        }
        self.length(if code == byte { 1 } else { 4 }).map(|key| key as u64)
    }

    fn byte(&mut self) -> Done<u8> {
        self.take(1).map(|byte| byte[0])
    }

    /// A number of `width` bytes, the lowest first.
    fn length(&mut self, width: usize) -> Done<usize> {
        let number = self.take(width)?.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        // What no machine can hold, no pickle here can have.
        usize::try_from(number).map_err(|_| Refusal::cut())
    }

    fn take(&mut self, length: usize) -> Done<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.input.len()).ok_or_else(Refusal::cut)?;
        let taken = &self.input[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn line(&mut self) -> Done<&'a [u8]> {
        let length = self.input[self.at..].iter().position(|byte| *byte == b'\n').ok_or_else(Refusal::cut)?;
        let line = self.take(length)?;
        self.at += 1;
        Ok(line)
    }

    fn words(&mut self) -> Done<&'a str> {
        std::str::from_utf8(self.line()?).map_err(|_| Refusal::broken())
    }
}

fn bounded(held: usize) -> Done {
    if held < MAX_VALUES { Ok(()) } else { Err(Refusal::new(format!("it has more than {MAX_VALUES} values"))) }
}

fn pairs(held: Vec<Place>) -> Done<Vec<(Place, Place)>> {
    if held.len() % 2 == 1 {
        return Err(Refusal::broken());
    }
    Ok(held.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn too_much() -> Refusal {
    Refusal::new(format!("it makes more than {MAX_BYTES} bytes of what it holds"))
}

fn too_large() -> Refusal {
    Refusal::new("it holds an int of more than 64 bits")
}

fn decimal<'a>(digits: &str) -> Done<Node<'a>> {
    match digits.parse() {
        Ok(number) => int(number),
        Err(_) if digits.len() > 20 && digits.trim_start_matches('-').bytes().all(|digit| digit.is_ascii_digit()) => {
            Err(too_large())
        }
        Err(_) => Err(Refusal::broken()),
    }
}

fn int<'a>(number: i128) -> Done<Node<'a>> {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Ok(Node::Int(number)),
        (_, Ok(number)) => Ok(Node::Large(number)),
        _ => Err(too_large()),
    }
}

/// Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
fn unescaped(line: &[u8]) -> Done<String> {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((first, behind)) = rest.split_first() {
        let digits = match (first, behind.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(*first));
                rest = behind;
                continue;
            }
        };
        let code = behind.get(1..=digits).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        text.push(code.ok_or_else(|| Refusal::new("it holds a str with an escape that is no character"))?);
        rest = &behind[1 + digits..];
    }
    Ok(text)
}
