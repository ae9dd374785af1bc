//! Tensors by name, each read when a layer takes it, and none forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use tch::{Kind, Tensor};

use super::bytes::Bytes;
use super::view::View;
use crate::error::{Error, Result};

/// The tensors of a checkpoint.
///
/// A tensor stays in the file until [`take`](Self::take) copies it, so a file never makes the
/// program allocate what the network did not ask for. Layers take what they need, and
/// [`finish`](Self::finish) sees that nothing is left.
pub(crate) struct StateDict {
    bytes: Arc<Bytes>,
    views: BTreeMap<String, View>,
}

impl StateDict {
    /// The tensors that `views` find in `bytes`, the file that they were made for.
    pub(super) fn new(bytes: Arc<Bytes>, views: BTreeMap<String, View>) -> Self {
        Self { bytes, views }
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.views.keys().map(String::as_str)
    }

    /// Whether there is a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.views.contains_key(name)
    }

    /// The shape of the tensor called `name`.
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.views.get(name).map(|view| view.shape.as_slice())
    }

    /// Removes the tensor called `name`, which must have the given shape, and returns a copy of it:
    /// fp32 whatever float type the file has, row-major, on the CPU. On an error the tensor stays.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`]; [`Error::TensorShape`], before anything is allocated;
    /// [`Error::Unsupported`] when its elements are integers, which are no weights.
    pub fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let Some(view) = self.views.get(name) else {
            return Err(Error::MissingTensor {
                name: name.to_owned(),
                expected: shape.to_vec(),
            });
        };
        if view.shape != shape {
            let (expected, found) = (shape.to_vec(), view.shape.clone());
            return Err(Error::TensorShape {
                name: name.to_owned(),
                expected,
                found,
            });
        }
        let kind = view.dtype.float_kind().ok_or_else(|| Error::Unsupported {
            what: format!("tensor `{name}` of type {} as a weight", view.dtype),
            remedy: "weights are float64, float32, float16 or bfloat16",
        })?;
        let tensor = Tensor::f_from_data_size(&view.elements(&self.bytes), shape, kind)
            .and_then(|tensor| tensor.f_to_kind(Kind::Float))
            .map_err(|error| Error::torch("copying a tensor of the checkpoint", error))?;
        self.views.remove(name);
        Ok(tensor)
    }

    /// Drops the tensor called `name`; false when there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        self.views.remove(name).is_some()
    }

    /// Gives every tensor the name that `new_name` makes of its old one.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateTensor`] when two get the same name; the state dict is then empty.
    pub fn rename(&mut self, new_name: impl Fn(&str) -> String) -> Result<()> {
        let mut renamed = BTreeMap::new();
        for (name, view) in std::mem::take(&mut self.views) {
            let name = new_name(&name);
            if renamed.contains_key(&name) {
                return Err(Error::DuplicateTensor { name });
            }
            renamed.insert(name, view);
        }
        self.views = renamed;
        Ok(())
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedTensors`] when tensors are left that no layer took.
    pub fn finish(self) -> Result<()> {
        if self.views.is_empty() {
            return Ok(());
        }
        Err(Error::UnexpectedTensors {
            names: self.views.into_keys().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::dtype::DType;
    use super::*;

    /// `a`: [1, 3] fp32 of 1, 2, 3; `b.count`: an int64 scalar.
    fn state_dict() -> StateDict {
        let mut bytes: Vec<u8> = [1f32, 2.0, 3.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        bytes.extend(7i64.to_le_bytes());
        let views = BTreeMap::from([
            (
                "a".to_owned(),
                View::contiguous(DType::F32, vec![1, 3], 0..12).unwrap(),
            ),
            (
                "b.count".to_owned(),
                View::contiguous(DType::I64, vec![], 12..20).unwrap(),
            ),
        ]);
        StateDict::new(Arc::new(Bytes::Owned(bytes)), views)
    }

    #[test]
    fn take_returns_each_tensor_once() {
        let mut tensors = state_dict();
        let tensor = tensors.take("a", &[1, 3]).unwrap();
        assert_eq!(tensor.size(), [1, 3]);
        assert_eq!(
            Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap(),
            [1.0, 2.0, 3.0]
        );
        let error = tensors.take("a", &[1, 3]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor `a` of shape [1, 3] is missing in the checkpoint"
        );
    }

    #[test]
    fn a_tensor_of_another_shape_is_refused_and_stays() {
        let mut tensors = state_dict();
        let error = tensors.take("a", &[3, 1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor `a` has shape [1, 3], expected [3, 1]"
        );
        assert!(tensors.contains("a"));
    }

    #[test]
    fn an_integer_tensor_is_listed_and_removed_but_not_taken() {
        let mut tensors = state_dict();
        assert_eq!(tensors.names().collect::<Vec<_>>(), ["a", "b.count"]);
        assert_eq!(tensors.shape("b.count"), Some(&[][..]));
        let error = tensors.take("b.count", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tensor `b.count` of type int64 as a weight is not supported; \
             weights are float64, float32, float16 or bfloat16"
        );
        assert!(tensors.remove("b.count"));
        assert!(!tensors.remove("b.count"));
    }

    #[test]
    fn finish_names_what_no_layer_took() {
        let mut tensors = state_dict();
        drop(tensors.take("a", &[1, 3]).unwrap());
        assert!(
            matches!(tensors.finish(), Err(Error::UnexpectedTensors { names }) if names == ["b.count"])
        );

        let mut tensors = state_dict();
        drop(tensors.take("a", &[1, 3]).unwrap());
        tensors.remove("b.count");
        tensors.finish().unwrap();
    }

    #[test]
    fn rename_moves_tensors_and_refuses_a_collision() {
        let mut tensors = state_dict();
        tensors.rename(|name| name.replace("b.", "head.")).unwrap();
        assert_eq!(tensors.names().collect::<Vec<_>>(), ["a", "head.count"]);
        assert_eq!(tensors.shape("a"), Some(&[1, 3][..]));
        let error = tensors.rename(|_| "same".to_owned()).unwrap_err();
        assert!(matches!(error, Error::DuplicateTensor { name } if name == "same"));
    }
}
