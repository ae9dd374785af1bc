//! What a pickle can hold.

use super::global::Global;
use crate::checkpoint::dtype::DType;

/// Which of a [`Pickle`]'s values. Values refer to each other by number: sharing one costs nothing,
/// cycles do no harm, and however deep they nest, dropping them does not recurse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::checkpoint) struct ValueId(pub(super) u32);

/// A value that a pickle made; text is a slice of the pickle itself.
#[derive(Debug)]
pub(in crate::checkpoint) enum Value<'a> {
    None,
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// A longer one: two's complement, little-endian.
    Long(&'a [u8]),
    Str(&'a str),
    Tuple(Vec<ValueId>),
    List(Vec<ValueId>),
    /// Keys and values in the order in which they were set; a key may stand twice.
    Dict(Vec<(ValueId, ValueId)>),
    /// The items of a set.
    Set(Vec<ValueId>),
    Global(Global<'a>),
    Object(Object),
    Storage(StorageRef<'a>),
    Tensor(Box<TensorRef>),
    /// What NumPy's `dtype` makes.
    ElementType(ElementType<'a>),
    /// A NumPy array; none as long as nothing was said of its contents.
    Array(Option<Box<ArrayRef<'a>>>),
    /// Bytes of the pickle itself.
    Bytes(&'a [u8]),
    /// Bytes, each written as the character that has it in Latin-1.
    Latin1(&'a str),
    /// Plain data that says nothing about tensors, so that only its kind is kept: a float, a device.
    Plain(&'static str),
}

/// What Python would make by calling something that is not known here: its description, never the
/// thing. Nothing was called.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct Object {
    /// What would be called: a [`Value::Global`], or an object that such a call would have made.
    pub(in crate::checkpoint) class: ValueId,
    /// With what, a [`Value::Tuple`].
    pub(in crate::checkpoint) arguments: ValueId,
    /// What would be set of it afterwards, most often a [`Value::Dict`] of its attributes.
    pub(in crate::checkpoint) state: Option<ValueId>,
    /// What it holds if its class is a kind of dict: a [`Value::Dict`].
    pub(in crate::checkpoint) entries: Option<ValueId>,
}

/// A storage: a run of elements that stands elsewhere in the file, under a key.
#[derive(Clone, Copy, Debug)]
pub(in crate::checkpoint) struct StorageRef<'a> {
    pub(in crate::checkpoint) key: &'a str,
    pub(in crate::checkpoint) dtype: DType,
    /// Number of elements of the whole storage.
    pub(in crate::checkpoint) len: usize,
    /// First element and number of elements of the part that is meant, in files from before PyTorch
    /// 0.4.
    pub(in crate::checkpoint) part: Option<(usize, usize)>,
}

/// A tensor: a view of a storage, not yet checked against it.
#[derive(Debug)]
pub(in crate::checkpoint) struct TensorRef {
    /// A [`Value::Storage`].
    pub(super) storage: ValueId,
    pub(in crate::checkpoint) dtype: DType,
    /// In elements, as are the strides.
    pub(in crate::checkpoint) offset: i64,
    pub(in crate::checkpoint) shape: Vec<i64>,
    pub(in crate::checkpoint) strides: Vec<i64>,
}

/// The type of a NumPy array's elements, as its pickle has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) struct ElementType<'a> {
    /// Kind and size, such as `f4`.
    pub(in crate::checkpoint) code: &'a str,
    /// Whether the greatest byte of an element comes first.
    pub(in crate::checkpoint) big_endian: bool,
}

/// A NumPy array, not yet checked against its bytes.
#[derive(Debug)]
pub(in crate::checkpoint) struct ArrayRef<'a> {
    pub(in crate::checkpoint) element: ElementType<'a>,
    pub(in crate::checkpoint) shape: Vec<i64>,
    pub(in crate::checkpoint) order: Order,
    /// The elements: [`Value::Bytes`], [`Value::Latin1`], a [`Value::Str`] of Python 2, or what no
    /// numbers are in.
    pub(in crate::checkpoint) data: ValueId,
}

/// In which order an array's elements stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) enum Order {
    /// The last axis varies fastest.
    C,
    /// The first axis does.
    Fortran,
    /// The last one of an array of this shape, whose axes were then put into another order: axis
    /// `axes[i]` became axis i.
    Transposed(Vec<usize>),
}

impl Value<'_> {
    /// Whether it is what weights are kept in.
    pub(in crate::checkpoint) fn is_tensor(&self) -> bool {
        matches!(self, Self::Tensor(_) | Self::Array(Some(_)))
    }

    /// What the value is, in an error message.
    pub(in crate::checkpoint) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::Long(_) => "an integer",
            Self::Str(_) => "a string",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dict",
            Self::Set(_) => "a set",
            Self::Global(_) => "a class or function",
            Self::Object(_) => "an object",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
            Self::ElementType(_) => "an element type",
            Self::Array(_) => "an array",
            Self::Bytes(_) | Self::Latin1(_) => "bytes",
            Self::Plain(kind) => kind,
        }
    }
}

/// The entry of a dict among `values` that has this key.
pub(super) fn entry(values: &[Value<'_>], dict: ValueId, key: &str) -> Option<ValueId> {
    let get = |id: ValueId| &values[id.0 as usize];
    let Value::Dict(entries) = get(dict) else {
        return None;
    };
    // Of keys that stand twice the last counts, as in Python.
    let found = entries
        .iter()
        .rfind(|&&(name, _)| matches!(get(name), Value::Str(name) if *name == key));
    found.map(|&(_, value)| value)
}

/// A pickle, read: an arena of values, one of which is the root.
pub(in crate::checkpoint) struct Pickle<'a> {
    pub(super) values: Vec<Value<'a>>,
    pub(super) root: ValueId,
    /// Bytes from the first opcode to STOP, both included.
    pub(in crate::checkpoint) len: usize,
}

impl<'a> Pickle<'a> {
    /// The value that the whole pickle stands for.
    pub(in crate::checkpoint) fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    /// Which of the values that is.
    pub(in crate::checkpoint) fn root_id(&self) -> ValueId {
        self.root
    }

    /// The class of an object: module and name.
    pub(in crate::checkpoint) fn class_of(&self, object: &Object) -> Option<(&'a str, &'a str)> {
        match *self.get(object.class) {
            Value::Global(Global::Inert(module, name)) => Some((module, name)),
            _ => None,
        }
    }

    /// The entry of a dict that has this key.
    pub(in crate::checkpoint) fn entry(&self, dict: ValueId, key: &str) -> Option<ValueId> {
        entry(&self.values, dict, key)
    }

    /// One of its values.
    pub(in crate::checkpoint) fn get(&self, id: ValueId) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    /// The storage that a tensor of this pickle views.
    pub(in crate::checkpoint) fn storage_of(&self, tensor: &TensorRef) -> &StorageRef<'a> {
        match self.get(tensor.storage) {
            Value::Storage(storage) => storage,
            _ => unreachable!("tensors are only built on storages"),
        }
    }

    /// All storages that the pickle names, in its order; one may be named many times.
    pub(in crate::checkpoint) fn storages(&self) -> impl Iterator<Item = &StorageRef<'a>> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}
