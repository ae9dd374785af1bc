//! A restricted unpickler: Python's pickle machine, built to make tensors and plain data and
//! nothing else.
//!
//! A pickle is a program for a stack machine, and in Python it may call anything. This machine has
//! no calls: a name becomes one of a few [`Global`]s, what is done with those is written out here,
//! and what would be made by any other is noted as an [`Object`] and left alone. Names that only a
//! hostile pickle has are an error. Its work, and the memory it takes, are bounded by a budget. CPython
//! `Lib/pickle.py`, `_Unpickler`, is the reference for the opcodes; text opcodes of protocols 0 and
//! 1 are refused, `torch.save` never wrote them. NumPy's arrays are tensors as PyTorch's are ([`numpy`]).

mod build;
mod distributed;
mod global;
mod hostile;
mod numpy;
mod opcode;
mod value;

use std::collections::HashMap;

pub(super) use self::global::Global;
use self::opcode as op;
pub(super) use self::value::{
    ArrayRef, ElementType, Object, Order, Pickle, StorageRef, TensorRef, Value, ValueId,
};
use super::format::Format;
use super::printable::printable;
use crate::error::{Error, Result};

/// Steps before a pickle is given up: one an opcode, and one an item where items are copied. Every
/// step makes at most a few dozen bytes. Empirical: a ResNet-101 with its optimizer's state needs
/// about 60 000.
const BUDGET: usize = 1 << 20;

/// The longest `module` or `name` that is looked at; real ones stay below 60.
const LONGEST_GLOBAL: usize = 512;

/// Runs the pickle that `input` begins with; what follows its STOP is left alone.
///
/// # Errors
///
/// [`Error::ForbiddenGlobal`] as soon as the pickle names what could only do harm, used or not;
/// [`Error::Unsupported`]; [`Error::Malformed`], of `format`, for everything that makes no sense.
pub(super) fn load(input: &[u8], format: Format) -> Result<Pickle<'_>> {
    let mut machine = Machine {
        format,
        input,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        budget: BUDGET,
    };
    let root = machine.run()?;
    Ok(Pickle {
        values: machine.values,
        root,
        len: machine.at,
    })
}

struct Machine<'a> {
    format: Format,
    input: &'a [u8],
    /// Position of the next byte.
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<ValueId>,
    /// Heights of the stack at the marks that are open.
    marks: Vec<usize>,
    memo: HashMap<u32, ValueId>,
    budget: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<ValueId> {
        loop {
            self.spend(1)?;
            match self.byte()? {
                op::STOP => return self.pop(),
                op::PROTO => {
                    let protocol = self.byte()?;
                    if !(2..=5).contains(&protocol) {
                        return Err(
                            self.malformed(format!("pickle protocol {protocol}, expected 2 to 5"))
                        );
                    }
                }
                // The length of the next frame, of use to those who read streams.
                op::FRAME => drop(self.bytes(8)?),

                op::NONE => self.push(Value::None),
                op::NEWTRUE => self.push(Value::Bool(true)),
                op::NEWFALSE => self.push(Value::Bool(false)),
                op::BININT => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()));
                }
                op::BININT1 => {
                    let value = self.byte()?;
                    self.push(Value::Int(value.into()));
                }
                op::BININT2 => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()));
                }
                op::LONG1 => {
                    let len = self.byte()?;
                    self.push_long(len.into())?;
                }
                op::LONG4 => {
                    let len = self.len4()?;
                    self.push_long(len)?;
                }
                op::BINFLOAT => {
                    self.bytes(8)?;
                    self.push(Value::Plain("a float"));
                }

                op::SHORT_BINUNICODE => {
                    let len = self.byte()?;
                    self.push_text(len.into())?;
                }
                op::BINUNICODE => {
                    let len = self.len4()?;
                    self.push_text(len)?;
                }
                op::BINUNICODE8 => {
                    let len = self.len8()?;
                    self.push_text(len)?;
                }
                op::SHORT_BINSTRING => {
                    let len = self.byte()?;
                    self.push_string(len.into())?;
                }
                op::BINSTRING => {
                    let len = self.len4()?;
                    self.push_string(len)?;
                }
                op::SHORT_BINBYTES => {
                    let len = self.byte()?;
                    self.push_bytes(len.into())?;
                }
                op::BINBYTES => {
                    let len = self.len4()?;
                    self.push_bytes(len)?;
                }
                op::BINBYTES8 | op::BYTEARRAY8 => {
                    let len = self.len8()?;
                    self.push_bytes(len)?;
                }

                op::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new())),
                op::TUPLE1 => self.push_tuple(1)?,
                op::TUPLE2 => self.push_tuple(2)?,
                op::TUPLE3 => self.push_tuple(3)?,
                op::TUPLE => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Tuple(items));
                }
                op::EMPTY_LIST => self.push(Value::List(Vec::new())),
                op::LIST => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::List(items));
                }
                op::APPEND => {
                    let item = self.pop()?;
                    self.extend_list(vec![item])?;
                }
                op::APPENDS => {
                    let items = self.pop_to_mark()?;
                    self.extend_list(items)?;
                }
                op::EMPTY_DICT => self.push(Value::Dict(Vec::new())),
                op::DICT => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Dict(Vec::new()));
                    self.extend_dict(items)?;
                }
                op::SETITEM => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.extend_dict(vec![key, value])?;
                }
                op::SETITEMS => {
                    let items = self.pop_to_mark()?;
                    self.extend_dict(items)?;
                }
                op::EMPTY_SET => self.push(Value::Set(Vec::new())),
                op::ADDITEMS => {
                    let items = self.pop_to_mark()?;
                    self.extend_set(items)?;
                }
                op::FROZENSET => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Set(items));
                }

                op::MARK => self.marks.push(self.stack.len()),
                op::POP => match self.stack.len() > self.floor() {
                    true => drop(self.pop()?),
                    false => drop(self.pop_to_mark()?),
                },
                op::POP_MARK => drop(self.pop_to_mark()?),
                op::DUP => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                op::BINPUT => {
                    let key = self.byte()?;
                    self.memoize(key.into())?;
                }
                op::LONG_BINPUT => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.memoize(key)?;
                }
                // The budget keeps it far below 2³².
                op::MEMOIZE => self.memoize(self.memo.len() as u32)?,
                op::BINGET => {
                    let key = self.byte()?;
                    self.recall(key.into())?;
                }
                op::LONG_BINGET => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.recall(key)?;
                }

                op::GLOBAL => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(Global::resolve(module, name)?));
                }
                op::STACK_GLOBAL => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (&Value::Str(module), &Value::Str(name)) =
                        (self.get(module), self.get(name))
                    else {
                        return Err(
                            self.malformed("names a global by something else than two strings")
                        );
                    };
                    self.push(Value::Global(Global::resolve(module, name)?));
                }
                op::REDUCE | op::NEWOBJ => {
                    let (arguments, global) = (self.pop()?, self.pop()?);
                    self.push_made(global, arguments)?;
                }
                op::NEWOBJ_EX => {
                    let (keywords, arguments, global) = (self.pop()?, self.pop()?, self.pop()?);
                    let none =
                        matches!(self.get(keywords), Value::Dict(entries) if entries.is_empty());
                    if !none && !self.is_inert(global) {
                        return Err(self.malformed("passes keyword arguments"));
                    }
                    self.push_made(global, arguments)?;
                }
                op::BUILD => {
                    let (state, object) = (self.pop()?, self.top()?);
                    self.set_state(object, state)?;
                }
                op::BINPERSID => {
                    let id = self.pop()?;
                    let value = self.persistent(id)?;
                    self.push(value);
                }
                // Objects of protocols 0 and 1. No listed global is written so, but the name is
                // worth reporting.
                op::INST => {
                    let (module, name) = (self.line()?, self.line()?);
                    Global::resolve(module, name)?;
                    return Err(self.malformed(format!("makes a `{}` by INST", printable(name))));
                }
                op::OBJ => return Err(self.malformed("makes an object by OBJ")),
                // Globals by numbers that are agreed on elsewhere, so their names are not even
                // known.
                op::EXT1 => {
                    let code = self.byte()?;
                    return Err(extension(code.into()));
                }
                op::EXT2 => {
                    let code = u16::from_le_bytes(self.array()?);
                    return Err(extension(code.into()));
                }
                op::EXT4 => {
                    let code = u32::from_le_bytes(self.array()?);
                    return Err(extension(code));
                }
                opcode => return Err(self.malformed(format!("opcode 0x{opcode:02x}"))),
            }
        }
    }

    fn malformed(&self, what: impl std::fmt::Display) -> Error {
        self.format
            .malformed(format!("{what}, before byte {} of the pickle", self.at))
    }

    /// Pays for work that is about to be done.
    fn spend(&mut self, steps: usize) -> Result<()> {
        match self.budget.checked_sub(steps) {
            Some(rest) => self.budget = rest,
            None => return Err(self.malformed(format!("more than {BUDGET} steps"))),
        }
        Ok(())
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.input[self.at..].get(..len);
        let bytes = bytes.ok_or_else(|| {
            let (at, end) = (self.at, self.input.len());
            let expected = if len == 1 {
                "another byte".to_owned()
            } else {
                format!("{len} bytes")
            };
            self.format.cut_short(format!(
                "the pickle ends at byte {end}, expected {expected} from byte {at} on"
            ))
        })?;
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(*self.bytes(N)?.as_array().expect("as long as asked for"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn len4(&mut self) -> Result<usize> {
        // Signed for some opcodes, unsigned for others; no real length comes near the difference.
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn len8(&mut self) -> Result<usize> {
        let len = u64::from_le_bytes(self.array()?);
        usize::try_from(len).map_err(|_| self.malformed(format!("a length of {len}")))
    }

    /// Text up to the end of the line.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.input[self.at..];
        let end = rest
            .iter()
            .take(LONGEST_GLOBAL)
            .position(|&byte| byte == b'\n');
        let line = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        let line = line.ok_or_else(|| self.malformed("an unreadable name"))?;
        self.at += line.len() + 1;
        Ok(line)
    }

    fn add(&mut self, value: Value<'a>) -> ValueId {
        let id = ValueId(self.values.len() as u32); // the budget keeps it far below 2³²
        self.values.push(value);
        id
    }

    fn push(&mut self, value: Value<'a>) {
        let id = self.add(value);
        self.stack.push(id);
    }

    /// Pushes an integer of `len` bytes, two's complement, little-endian.
    fn push_long(&mut self, len: usize) -> Result<()> {
        let bytes = self.bytes(len)?;
        let value = if len <= 8 {
            let sign = bytes.last().is_some_and(|&last| last >= 0x80);
            let mut padded = [if sign { 0xff } else { 0 }; 8];
            padded[..len].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(padded))
        } else {
            Value::Long(bytes)
        };
        self.push(value);
        Ok(())
    }

    fn push_text(&mut self, len: usize) -> Result<()> {
        let bytes = self.bytes(len)?;
        let text =
            std::str::from_utf8(bytes).map_err(|_| self.malformed("text that is not UTF-8"))?;
        self.push(Value::Str(text));
        Ok(())
    }

    /// A string of Python 2, which may be text or bytes.
    fn push_string(&mut self, len: usize) -> Result<()> {
        let bytes = self.bytes(len)?;
        self.push(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Str));
        Ok(())
    }

    fn push_bytes(&mut self, len: usize) -> Result<()> {
        let bytes = self.bytes(len)?;
        self.push(Value::Bytes(bytes));
        Ok(())
    }

    fn push_tuple(&mut self, len: usize) -> Result<()> {
        let start = self
            .stack
            .len()
            .checked_sub(len)
            .filter(|&start| start >= self.floor());
        let start = start.ok_or_else(|| self.malformed("a tuple of more items than there are"))?;
        let items = self.stack.split_off(start);
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// The height below which the stack is out of reach until the mark is taken away.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<ValueId> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err(self.malformed("nothing is left on the stack")),
        }
    }

    fn pop(&mut self) -> Result<ValueId> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<ValueId>> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| self.malformed("no mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    fn get(&self, id: ValueId) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    fn memoize(&mut self, key: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let id = self.memo.get(&key).copied();
        self.stack
            .push(id.ok_or_else(|| self.malformed(format!("nothing is memorised as {key}")))?);
        Ok(())
    }

    /// Appends to the list on top of the stack.
    fn extend_list(&mut self, items: Vec<ValueId>) -> Result<()> {
        let list = self.top()?;
        match &mut self.values[list.0 as usize] {
            Value::List(list) => list.extend(items),
            // A kind of list or queue, whose items say nothing about the tensors.
            Value::Object(_) => {}
            other => {
                let kind = other.kind();
                return Err(self.malformed(format!("appends to {kind}")));
            }
        }
        Ok(())
    }

    /// Adds to the set on top of the stack.
    fn extend_set(&mut self, items: Vec<ValueId>) -> Result<()> {
        let set = self.top()?;
        match &mut self.values[set.0 as usize] {
            Value::Set(set) => set.extend(items),
            other => {
                let kind = other.kind();
                return Err(self.malformed(format!("adds items to {kind}")));
            }
        }
        Ok(())
    }

    /// Adds alternating keys and values to the dict on top of the stack, or to the object, which is
    /// then some kind of dict.
    fn extend_dict(&mut self, items: Vec<ValueId>) -> Result<()> {
        let (entries, []) = items.as_chunks::<2>() else {
            return Err(self.malformed("a key without a value"));
        };
        let mut dict = self.top()?;
        if let &Value::Object(object) = self.get(dict) {
            let entries = match object.entries {
                Some(entries) => entries,
                None => self.add(Value::Dict(Vec::new())),
            };
            self.values[dict.0 as usize] = Value::Object(Object {
                entries: Some(entries),
                ..object
            });
            dict = entries;
        }
        match &mut self.values[dict.0 as usize] {
            Value::Dict(dict) => dict.extend(entries.iter().map(|&[key, value]| (key, value))),
            other => {
                let kind = other.kind();
                return Err(self.malformed(format!("sets items of {kind}")));
            }
        }
        Ok(())
    }

    /// Sets the attributes of an object. Those of a dict (a module's state dict has `_metadata`)
    /// say nothing about the tensors.
    fn set_state(&mut self, object: ValueId, state: ValueId) -> Result<()> {
        if matches!(self.get(object), Value::Array(_) | Value::ElementType(_)) {
            return self.set_numpy_state(object, state);
        }
        match &mut self.values[object.0 as usize] {
            Value::Dict(_) => {}
            Value::Object(object) => object.state = Some(state),
            other => {
                let kind = other.kind();
                return Err(self.malformed(format!("sets attributes of {kind}")));
            }
        }
        Ok(())
    }
}

fn extension(code: u32) -> Error {
    Error::ForbiddenGlobal {
        global: format!("copyreg extension {code}"),
    }
}
