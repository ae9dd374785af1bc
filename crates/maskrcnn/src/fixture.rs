//! Reads what the peers computed: the safetensors files below `tests/fixtures`, for unit tests.

#[path = "../../../tests/common/formula.rs"]
mod formula;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use image::RgbImage;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use detections::{BBox, Size};

/// A file or folder below `tests/fixtures`.
pub(crate) fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name)
}

/// Named tensors that a peer wrote.
pub(crate) struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    /// The file below `tests/fixtures`.
    pub fn open(file: &str) -> Self {
        let path = fixture_path(file);
        Self {
            bytes: std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        }
    }

    /// torchvision's operators on small inputs; `tests/reference/make_ops.py` says what is in it.
    pub fn ops() -> Self {
        Self::open("ops/ops.safetensors")
    }

    /// The prefixes `{operator}.{case}.` of the operator's cases, never none.
    pub fn cases(&self, operator: &str) -> BTreeSet<String> {
        let tensors = self.tensors();
        let of_operator = tensors.names().into_iter().filter_map(|name| {
            let (case, _) = name
                .strip_prefix(operator)?
                .strip_prefix('.')?
                .split_once('.')?;
            Some(format!("{operator}.{case}."))
        });
        let cases: BTreeSet<String> = of_operator.collect();
        assert!(!cases.is_empty(), "no cases of {operator}");
        cases
    }

    /// Compares what `resized` makes of sizes, of the shorter side's size and of the longer one's
    /// largest, with what the peer makes of them in the operator's cases.
    pub fn compare_sizes(&self, operator: &str, resized: impl Fn(Size, usize, usize) -> Size) {
        for case in self.cases(operator) {
            let values = |name: &str| self.indices(&format!("{case}{name}"));
            let (min_size, max_size) = (values("min_size")[0], values("max_size")[0]);
            let (sizes, expected) = (values("sizes"), values("expected"));
            let pairs = sizes.as_chunks().0.iter().zip(expected.as_chunks().0);
            for (&[height, width], &[new_height, new_width]) in pairs {
                let found = resized(Size::new(height, width), min_size, max_size);
                let expected = Size::new(new_height, new_width);
                assert_eq!(found, expected, "{height}×{width}");
            }
        }
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors().tensor(name).is_ok()
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    fn view(&self, name: &str, dtype: Dtype) -> TensorView<'_> {
        let view = self
            .tensors()
            .tensor(name)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(view.dtype(), dtype, "{name}");
        view
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensors()
            .tensor(name)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .shape()
            .to_vec()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.view(name, Dtype::U8).data().to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.view(name, Dtype::F32)
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    }

    pub fn doubles(&self, name: &str) -> Vec<f64> {
        self.view(name, Dtype::F64)
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect()
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        self.view(name, Dtype::I64)
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| i64::from_le_bytes(*bytes))
            .collect()
    }

    pub fn indices(&self, name: &str) -> Vec<usize> {
        self.integers(name)
            .into_iter()
            .map(|index| usize::try_from(index).unwrap())
            .collect()
    }

    pub fn boxes(&self, name: &str) -> Vec<BBox> {
        self.floats(name)
            .as_chunks()
            .0
            .iter()
            .map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2))
            .collect()
    }

    /// A height and a width.
    pub fn size(&self, name: &str) -> Size {
        let sides = self.indices(name);
        Size::new(sides[0], sides[1])
    }

    pub fn image(&self, name: &str) -> RgbImage {
        let shape = self.shape(name);
        RgbImage::from_raw(shape[1] as u32, shape[0] as u32, self.bytes(name)).unwrap()
    }
}

/// The edges of boxes, one after the other.
pub(crate) fn edges(boxes: &[BBox]) -> Vec<f32> {
    boxes
        .iter()
        .flat_map(|b| [b.x1, b.y1, b.x2, b.y2])
        .collect()
}

/// The largest difference between two lists of equal length; NaN in one alone is infinite.
pub(crate) fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "number of values");
    let apart = |(a, b): (&f32, &f32)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0, // infinities too
        _ => {
            let apart = (a - b).abs();
            if apart.is_nan() { f32::INFINITY } else { apart }
        }
    };
    found.iter().zip(expected).map(apart).fold(0.0, f32::max)
}

/// detectron2's R50-FPN filled by the formula, under its own names, as
/// `tests/reference/detectron2_networks.py` fills it: a safetensors file.
pub(crate) fn detectron2() -> Vec<u8> {
    let layout = std::fs::read_to_string(fixture_path("parity/detectron2-r50.tsv")).unwrap();
    let tensor = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let shape: Vec<i64> = fields[2].split(',').map(|n| n.parse().unwrap()).collect();
        let values = formula::of_detectron2(fields[0], fields[1], &shape);
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let shape: Vec<usize> = shape.iter().map(|&side| side as usize).collect();
        (fields[0].to_owned(), shape, bytes)
    };
    let tensors: Vec<_> = layout.lines().map(tensor).collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

/// Matterport's ResNet-50 for small pictures, filled by the formula, under Keras's names, as
/// `tests/reference/matterport_networks.py` fills it: a safetensors file.
pub(crate) fn matterport() -> Vec<u8> {
    let layout = std::fs::read_to_string(fixture_path("parity/matterport.tsv")).unwrap();
    let tensor = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let shape: Vec<i64> = fields[2].split(',').map(|n| n.parse().unwrap()).collect();
        let (shape, values) =
            formula::of_matterport(fields[0], fields[1], &shape, formula::MATTERPORT_SMALL);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let shape: Vec<usize> = shape.iter().map(|&side| side as usize).collect();
        (fields[0].to_owned(), shape, bytes)
    };
    let tensors: Vec<_> = layout.lines().map(tensor).collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name, view.unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The type and the bytes of a tensor.
type Filled = (Dtype, Vec<u8>);

/// torchvision's v1, or a relative of it, with every tensor filled by the formula that the fixtures
/// were made with: name to shape.
pub(crate) struct V1(pub BTreeMap<String, Vec<i64>>);

impl V1 {
    /// The tensors that torchvision's own network has.
    pub fn new() -> Self {
        Self::relative("formula")
    }

    /// The tensors of a relative of v1: a file below `tests/fixtures/parity`, without its `.tsv`.
    pub fn relative(network: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/parity")
            .join(format!("{network}.tsv"));
        let layout =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // Name, shape, and a checksum that `tests/program/weights.rs` looks at.
        let tensor = |line: &str| {
            let mut fields = line.split('\t');
            let (name, shape) = (fields.next().unwrap(), fields.next().unwrap());
            let sides = shape.split(',').filter(|side| !side.is_empty());
            (
                name.to_owned(),
                sides.map(|side| side.parse().unwrap()).collect(),
            )
        };
        Self(layout.lines().map(tensor).collect())
    }

    /// The bytes of a tensor: as the formula has it, and 0 for a norm's counter of batches.
    fn fill(&self, name: &str, shape: &[i64], change: impl Fn(&str, &mut [f32])) -> Filled {
        if name.ends_with(".num_batches_tracked") {
            return (Dtype::I64, 0i64.to_le_bytes().to_vec());
        }
        let basic_blocks = !self.0.contains_key("backbone.body.layer1.0.conv3.weight");
        let mut values = formula::fill(name, shape, basic_blocks);
        change(name, &mut values);
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        (Dtype::F32, bytes.collect())
    }

    /// A safetensors file of these tensors.
    pub fn checkpoint(&self) -> Vec<u8> {
        self.checkpoint_with(str::to_owned, None)
    }

    /// A safetensors file of these tensors after `change` was given the name and the numbers of
    /// each.
    pub fn checkpoint_changed(&self, change: impl Fn(&str, &mut [f32])) -> Vec<u8> {
        self.write(str::to_owned, None, change)
    }

    /// A safetensors file of these tensors under other names, with metadata.
    pub fn checkpoint_with(
        &self,
        stored_name: impl Fn(&str) -> String,
        metadata: Option<HashMap<String, String>>,
    ) -> Vec<u8> {
        self.write(stored_name, metadata, |_, _| ())
    }

    fn write(
        &self,
        stored_name: impl Fn(&str) -> String,
        metadata: Option<HashMap<String, String>>,
        change: impl Fn(&str, &mut [f32]),
    ) -> Vec<u8> {
        let values: Vec<(String, Vec<usize>, Filled)> = self
            .0
            .iter()
            .map(|(name, shape)| {
                (
                    stored_name(name),
                    shape.iter().map(|&side| side as usize).collect(),
                    self.fill(name, shape, &change),
                )
            })
            .collect();
        let views = values.iter().map(|(name, shape, (dtype, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, metadata).unwrap()
    }
}
