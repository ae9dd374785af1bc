//! A tensor of a checkpoint as an adapter wants it: its description, read only when it is taken.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::dtype::DType;
use super::view::View;

/// A tensor of the file, or one that is made of such tensors.
///
/// Other programs store the same networks otherwise: convolutions with the input channels before
/// the output channels, colours in the order of blue, green and red, the background last, two
/// logits where one is enough. An adapter says here what becomes of such tensors; the elements are
/// computed in f32 when a layer takes them, and nothing is before.
///
/// Each method that makes a new tensor checks axes and shapes; its error is a predicate for a
/// sentence that begins with the tensor's name.
#[derive(Clone)]
pub struct Parameter {
    shape: Vec<i64>,
    origin: Origin,
}

/// Where a tensor's elements come from.
#[derive(Clone)]
enum Origin {
    /// The file.
    Stored(Arc<View>),
    /// Another tensor with its axes in this order.
    Permuted(Box<Parameter>, Vec<usize>),
    /// Those places of an axis of another tensor, in this order.
    Selected(Box<Parameter>, usize, Vec<usize>),
    /// Another tensor with its last axes as one.
    Flattened(Box<Parameter>),
    /// Tensors one after the other along an axis.
    Joined(Vec<Parameter>, usize),
    /// Another tensor times a factor for each place along an axis.
    Scaled(Box<Parameter>, usize, Vec<f32>),
    /// Two tensors of one shape, the second times a factor.
    Sum(Box<Parameter>, Box<Parameter>, f32),
}

/// The elements of a tensor, row-major.
#[derive(Debug)]
pub enum Elements<'a> {
    /// As the file has them, of a type of floating-point numbers, little-endian.
    Stored(DType, Cow<'a, [u8]>),
    /// Computed by an adapter.
    Computed(Vec<f32>),
}

impl Elements<'_> {
    /// The elements in f32.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::Stored(dtype, bytes) => dtype.to_f32(&bytes),
            Self::Computed(values) => values,
        }
    }
}

impl From<View> for Parameter {
    fn from(view: View) -> Self {
        Self {
            shape: view.shape.clone(),
            origin: Origin::Stored(Arc::new(view)),
        }
    }
}

impl Parameter {
    /// The same elements with the axes in another order: axis `axes[i]` becomes axis i. From
    /// Keras's `[H, W, I, O]` to `[O, I, H, W]`: `[3, 2, 0, 1]`.
    pub fn permuted(self, axes: &[usize]) -> Result<Self, String> {
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.shape.len()) {
            return Err(format!("of shape {:?} has no axes {axes:?}", self.shape));
        }
        Ok(Self {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            origin: Origin::Permuted(Box::new(self), axes.to_vec()),
        })
    }

    /// The same elements with all axes from `axis` on as one; as it is when it has fewer. From a
    /// convolution over all of its input to the fully connected layer that it is: from 1 on.
    pub fn flattened(self, axis: usize) -> Self {
        if axis >= self.shape.len() {
            return self;
        }
        let mut shape = self.shape[..axis].to_vec();
        shape.push(self.shape[axis..].iter().product());
        Self {
            shape,
            origin: Origin::Flattened(Box::new(self)),
        }
    }

    /// Those places along an axis, in this order: `[2, 1, 0]` turns the colours of a convolution's
    /// input around, `[1, …, K, 0]` puts the first class last.
    pub fn selected(self, axis: usize, places: &[usize]) -> Result<Self, String> {
        let length = self.length(axis)?;
        if let Some(place) = places.iter().find(|&&place| place >= length) {
            return Err(format!(
                "of shape {:?} has no place {place} along axis {axis}",
                self.shape
            ));
        }
        let mut shape = self.shape.clone();
        shape[axis] = places.len() as i64;
        Ok(Self {
            shape,
            origin: Origin::Selected(Box::new(self), axis, places.to_vec()),
        })
    }

    /// The places `range` along an axis.
    pub fn cut(self, axis: usize, range: Range<usize>) -> Result<Self, String> {
        self.selected(axis, &range.collect::<Vec<_>>())
    }

    /// This tensor and `others` behind it along an axis.
    pub fn joined(
        self,
        axis: usize,
        others: impl IntoIterator<Item = Self>,
    ) -> Result<Self, String> {
        self.length(axis)?;
        let mut parts = vec![self];
        parts.extend(others);
        let mut shape = parts[0].shape.clone();
        let around = |shape: &[i64]| {
            let mut around = shape.to_vec();
            around.remove(axis);
            around
        };
        for part in &parts[1..] {
            let fits = part.shape.len() == shape.len() && around(&part.shape) == around(&shape);
            if !fits {
                let (first, second) = (&parts[0].shape, &part.shape);
                return Err(format!(
                    "of shape {first:?} cannot be joined with {second:?} along axis {axis}"
                ));
            }
        }
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        Ok(Self {
            shape,
            origin: Origin::Joined(parts, axis),
        })
    }

    /// All elements times `factor`: 1/255 for a network that was trained on bytes.
    pub fn scaled(self, factor: f32) -> Self {
        // A tensor without axes has one element.
        if self.shape.is_empty() {
            return Self {
                shape: Vec::new(),
                origin: Origin::Scaled(Box::new(self), 0, vec![factor]),
            };
        }
        let factors = vec![factor; self.shape[0].max(0) as usize];
        Self {
            shape: self.shape.clone(),
            origin: Origin::Scaled(Box::new(self), 0, factors),
        }
    }

    /// The elements at each place along an axis times that place's factor.
    pub fn scaled_along(self, axis: usize, factors: &[f32]) -> Result<Self, String> {
        let (length, count) = (self.length(axis)?, factors.len());
        if length != count {
            return Err(format!(
                "of shape {:?} cannot take {count} factors along axis {axis}",
                self.shape
            ));
        }
        Ok(Self {
            shape: self.shape.clone(),
            origin: Origin::Scaled(Box::new(self), axis, factors.to_vec()),
        })
    }

    /// This tensor and `factor` times another of its shape: with −1 the one logit that says as much
    /// as two, or a norm's mean that takes up the bias in front of it.
    pub fn plus(self, other: Self, factor: f32) -> Result<Self, String> {
        if self.shape != other.shape {
            let (first, second) = (&self.shape, &other.shape);
            return Err(format!("of shape {first:?} cannot be added to {second:?}"));
        }
        Ok(Self {
            shape: self.shape.clone(),
            origin: Origin::Sum(Box::new(self), Box::new(other), factor),
        })
    }

    fn length(&self, axis: usize) -> Result<usize, String> {
        let length = self
            .shape
            .get(axis)
            .and_then(|&length| usize::try_from(length).ok());
        length.ok_or_else(|| format!("of shape {:?} has no axis {axis}", self.shape))
    }
}

impl Parameter {
    /// The length of each axis.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// The type of the elements when they, or some that they are made of, are integers.
    pub fn integers(&self) -> Option<DType> {
        match &self.origin {
            Origin::Stored(view) => (!view.dtype.is_float()).then_some(view.dtype),
            Origin::Permuted(of, _)
            | Origin::Flattened(of)
            | Origin::Selected(of, ..)
            | Origin::Scaled(of, ..) => of.integers(),
            Origin::Joined(parts, _) => parts.iter().find_map(Self::integers),
            Origin::Sum(first, second, _) => first.integers().or_else(|| second.integers()),
        }
    }

    /// The type of the elements in the file; of a tensor that is made of several, that of the first.
    pub fn dtype(&self) -> DType {
        match &self.origin {
            Origin::Stored(view) => view.dtype,
            Origin::Permuted(of, _)
            | Origin::Flattened(of)
            | Origin::Selected(of, ..)
            | Origin::Scaled(of, ..) => of.dtype(),
            Origin::Joined(parts, _) => parts.first().map_or(DType::F32, Self::dtype),
            Origin::Sum(first, ..) => first.dtype(),
        }
    }

    /// The elements, row-major; those of the file itself are not copied where they lie so. `file`
    /// is the file that the views were made for.
    pub fn elements<'a>(&self, file: &'a [u8]) -> Elements<'a> {
        match &self.origin {
            Origin::Stored(view) => Elements::Stored(view.dtype, view.elements(file)),
            _ => Elements::Computed(self.compute(file)),
        }
    }

    fn compute(&self, file: &[u8]) -> Vec<f32> {
        match &self.origin {
            Origin::Stored(view) => view.dtype.to_f32(&view.elements(file)),
            Origin::Permuted(of, axes) => {
                let values = of.compute(file);
                let strides = strides(&of.shape);
                let steps: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
                indices(&self.shape, &steps).map(|at| values[at]).collect()
            }
            Origin::Flattened(of) => of.compute(file),
            Origin::Selected(of, axis, places) => {
                let (values, run) = (of.compute(file), run(&of.shape, *axis));
                let whole = run * of.shape[*axis] as usize;
                let blocks = values.chunks_exact(whole.max(1));
                let chosen = blocks.flat_map(|block| {
                    places
                        .iter()
                        .flat_map(move |&place| &block[place * run..][..run])
                });
                chosen.copied().collect()
            }
            Origin::Joined(parts, axis) => {
                let parts: Vec<_> = parts
                    .iter()
                    .map(|part| {
                        let run = run(&part.shape, *axis) * part.shape[*axis] as usize;
                        (part.compute(file), run)
                    })
                    .collect();
                let blocks: i64 = self.shape[..*axis].iter().product();
                (0..blocks as usize)
                    .flat_map(|block| {
                        let of_block = |(values, run): &'_ (Vec<f32>, usize)| {
                            values[block * run..][..*run].to_vec()
                        };
                        parts.iter().flat_map(of_block).collect::<Vec<_>>()
                    })
                    .collect()
            }
            Origin::Scaled(of, axis, factors) => {
                let (mut values, run) = (of.compute(file), run(&of.shape, *axis));
                for (values, factor) in values
                    .chunks_exact_mut(run.max(1))
                    .zip(factors.iter().cycle())
                {
                    values.iter_mut().for_each(|value| *value *= factor);
                }
                values
            }
            Origin::Sum(first, second, factor) => {
                let (mut values, others) = (first.compute(file), second.compute(file));
                for (value, other) in values.iter_mut().zip(others) {
                    *value += factor * other;
                }
                values
            }
        }
    }
}

/// Elements between neighbours along each axis, row-major.
fn strides(shape: &[i64]) -> Vec<usize> {
    (0..shape.len()).map(|axis| run(shape, axis)).collect()
}

/// Elements that belong to one place along an axis, and to one place along all axes before it.
fn run(shape: &[i64], axis: usize) -> usize {
    shape
        .iter()
        .skip(axis + 1)
        .map(|&length| length as usize)
        .product()
}

/// Where the elements of a tensor of this shape lie when a step along an axis is `steps` long, in
/// row-major order.
fn indices(shape: &[i64], steps: &[usize]) -> impl Iterator<Item = usize> {
    let count: i64 = shape.iter().product();
    (0..count as usize).map(move |mut place| {
        let mut at = 0;
        for (&length, &step) in shape.iter().zip(steps).rev() {
            at += place % length as usize * step;
            place /= length as usize;
        }
        at
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor of this shape whose elements are 0, 1, 2, …, and its file.
    fn counted(shape: &[i64]) -> (Parameter, Vec<u8>) {
        let count = shape.iter().product::<i64>() as u16;
        let file: Vec<u8> = (0..count)
            .flat_map(|i| f32::from(i).to_le_bytes())
            .collect();
        let view = View::contiguous(DType::F32, shape.to_vec(), 0..file.len()).unwrap();
        (view.into(), file)
    }

    fn read(made: Result<Parameter, String>, file: &[u8]) -> (Vec<i64>, Vec<f32>) {
        let made = made.unwrap();
        (made.shape().to_vec(), made.elements(file).into_f32())
    }

    #[test]
    fn axes_are_permuted_as_from_keras_to_pytorch() {
        // [H, W, I, O] = [1, 2, 3, 2]: element (0, w, i, o) is 6w + 2i + o.
        let (parameter, file) = counted(&[1, 2, 3, 2]);
        let (shape, values) = read(parameter.clone().permuted(&[3, 2, 0, 1]), &file);
        assert_eq!(shape, [2, 3, 1, 2]);
        let expected = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11].map(|i| i as f32);
        assert_eq!(values, expected);
        for wrong in [&[0, 1, 2][..], &[0, 1, 2, 2], &[0, 1, 2, 4]] {
            assert!(parameter.clone().permuted(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn axes_become_one() {
        let (parameter, file) = counted(&[2, 2, 3]);
        let flat = parameter.clone().permuted(&[1, 0, 2]).unwrap().flattened(1);
        let (shape, values) = read(Ok(flat), &file);
        let expected = [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11].map(|i| i as f32);
        assert_eq!((shape, values), (vec![2, 6], expected.to_vec()));
        assert_eq!(parameter.flattened(3).shape(), [2, 2, 3]);
    }

    #[test]
    fn places_are_cut_and_put_into_another_order() {
        let (parameter, file) = counted(&[2, 3, 2]);
        let turned = read(parameter.clone().selected(1, &[2, 0]), &file);
        assert_eq!(
            turned,
            (
                vec![2, 2, 2],
                [4, 5, 0, 1, 10, 11, 6, 7].map(|i| i as f32).to_vec()
            )
        );
        let cut = read(parameter.clone().cut(0, 1..2), &file);
        assert_eq!(cut.0, [1, 3, 2]);
        assert_eq!(cut.1, [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        let nothing = read(parameter.clone().cut(2, 1..1), &file);
        assert_eq!(nothing, (vec![2, 3, 0], vec![]));
        let error = parameter.clone().cut(0, 1..3).err().unwrap();
        assert_eq!(error, "of shape [2, 3, 2] has no place 2 along axis 0");
        assert!(parameter.selected(3, &[0]).is_err());
    }

    #[test]
    fn tensors_are_joined_along_an_axis() {
        let (parameter, file) = counted(&[2, 3]);
        let first = parameter.clone().cut(1, 0..1).unwrap();
        let rest = parameter.clone().cut(1, 1..3).unwrap();
        let (shape, values) = read(rest.clone().joined(1, [first.clone()]), &file);
        assert_eq!(
            (shape, values),
            (vec![2, 3], vec![1.0, 2.0, 0.0, 4.0, 5.0, 3.0])
        );
        let (shape, values) = read(first.clone().joined(0, [first.clone(), first]), &file);
        assert_eq!(
            (shape, values),
            (vec![6, 1], vec![0.0, 3.0, 0.0, 3.0, 0.0, 3.0])
        );
        let error = parameter.joined(0, [rest]).err().unwrap();
        assert_eq!(
            error,
            "of shape [2, 3] cannot be joined with [2, 2] along axis 0"
        );
    }

    #[test]
    fn elements_are_scaled_all_or_along_an_axis_and_added() {
        let (parameter, file) = counted(&[2, 2]);
        let half = read(Ok(parameter.clone().scaled(0.5)), &file);
        assert_eq!(half.1, [0.0, 0.5, 1.0, 1.5]);
        let columns = read(parameter.clone().scaled_along(1, &[1.0, 10.0]), &file);
        assert_eq!(columns.1, [0.0, 10.0, 2.0, 30.0]);
        assert!(parameter.clone().scaled_along(0, &[1.0]).is_err());
        // One logit for two: the second row minus the first.
        let (first, second) = (
            parameter.clone().cut(0, 0..1),
            parameter.clone().cut(0, 1..2),
        );
        let one = read(second.unwrap().plus(first.unwrap(), -1.0), &file);
        assert_eq!(one, (vec![1, 2], vec![2.0, 2.0]));
        assert!(
            parameter
                .clone()
                .plus(parameter.cut(0, 0..1).unwrap(), 1.0)
                .is_err()
        );
    }

    #[test]
    fn half_precision_is_widened_and_integers_are_told() {
        let file = [0x00, 0x3c, 0x00, 0xc1]; // 1 and −2.5 (IEEE 754 binary16)
        let view = View::contiguous(DType::F16, vec![2], 0..4).unwrap();
        let scaled = Parameter::from(view).scaled(2.0);
        assert_eq!(scaled.integers(), None);
        assert_eq!(scaled.elements(&file).into_f32(), [2.0, -5.0]);
        let view = View::contiguous(DType::I64, vec![], 0..8).unwrap();
        assert_eq!(
            Parameter::from(view).scaled(2.0).integers(),
            Some(DType::I64)
        );
    }
}
