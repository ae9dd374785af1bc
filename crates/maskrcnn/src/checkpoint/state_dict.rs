//! Tensors by name, each read when a layer takes it, and none forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bytes::Bytes;
use super::parameter::{Elements, Parameter};
use super::view::View;
use crate::error::{Error, Result};

/// The tensors of a checkpoint: the one place that layers get theirs from.
///
/// A tensor stays in the file until [`take`](Self::take) reads it, so a file never makes the
/// program allocate what the network did not ask for. Adapters rename tensors, and replace them by
/// others that are made of them ([`Parameter`]). Layers take what they need, and
/// [`finish`](Self::finish) sees that nothing is left.
#[derive(Clone)]
pub struct StateDict {
    bytes: Arc<Bytes>,
    parameters: BTreeMap<String, Parameter>,
}

impl StateDict {
    /// The tensors that `views` find in `bytes`, the file that they were made for.
    pub(super) fn new(bytes: Arc<Bytes>, views: BTreeMap<String, View>) -> Self {
        let parameters = views.into_iter().map(|(name, view)| (name, view.into()));
        Self {
            bytes,
            parameters: parameters.collect(),
        }
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.keys().map(String::as_str)
    }

    /// Whether there is a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    /// The shape of the tensor called `name`.
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.parameters.get(name).map(Parameter::shape)
    }

    /// All tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        let tensors = self.parameters.iter();
        tensors.map(|(name, parameter)| (&**name, parameter))
    }

    /// Removes the tensor called `name`, which must have the given shape, and returns its elements,
    /// row-major. On an error the tensor stays.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`]; [`Error::TensorShape`], before anything is allocated;
    /// [`Error::Unsupported`] when its elements are integers, which are no weights.
    pub fn take(&mut self, name: &str, shape: &[i64]) -> Result<Elements<'_>> {
        let Some(parameter) = self.parameters.get(name) else {
            return Err(Error::MissingTensor {
                name: name.to_owned(),
                expected: shape.to_vec(),
            });
        };
        if parameter.shape() != shape {
            return Err(Error::TensorShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: parameter.shape().to_vec(),
            });
        }
        if let Some(dtype) = parameter.integers() {
            return Err(Error::Unsupported {
                what: format!("tensor `{name}` of type {dtype} as a weight"),
                remedy: "weights are float64, float32, float16 or bfloat16",
            });
        }
        let elements = parameter.elements(&self.bytes);
        self.parameters.remove(name);
        Ok(elements)
    }

    /// Removes the tensor called `name`, unread, for an adapter that makes another one of it.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`], without a shape.
    pub fn detach(&mut self, name: &str) -> Result<Parameter> {
        self.parameters
            .remove(name)
            .ok_or_else(|| Error::MissingTensor {
                name: name.to_owned(),
                expected: Vec::new(),
            })
    }

    /// Adds a tensor that an adapter made.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateTensor`] when there is one of that name.
    pub fn attach(&mut self, name: &str, parameter: Parameter) -> Result<()> {
        if self.contains(name) {
            return Err(Error::DuplicateTensor {
                name: name.to_owned(),
            });
        }
        self.parameters.insert(name.to_owned(), parameter);
        Ok(())
    }

    /// Drops the tensor called `name`; false when there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        self.parameters.remove(name).is_some()
    }

    /// Drops all tensors but those whose names are so.
    pub fn retain(&mut self, is_so: impl Fn(&str) -> bool) {
        self.parameters.retain(|name, _| is_so(name));
    }

    /// Gives every tensor the name that `new_name` makes of its old one.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateTensor`] when two get the same name; the state dict is then empty.
    pub fn rename(&mut self, new_name: impl Fn(&str) -> String) -> Result<()> {
        let mut renamed = BTreeMap::new();
        for (name, parameter) in std::mem::take(&mut self.parameters) {
            let name = new_name(&name);
            if renamed.contains_key(&name) {
                return Err(Error::DuplicateTensor { name });
            }
            renamed.insert(name, parameter);
        }
        self.parameters = renamed;
        Ok(())
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Error::UnexpectedTensors`] when tensors are left that no layer took.
    pub fn finish(self) -> Result<()> {
        if self.parameters.is_empty() {
            return Ok(());
        }
        Err(Error::UnexpectedTensors {
            names: self.parameters.into_keys().collect(),
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
        let elements = tensors.take("a", &[1, 3]).unwrap();
        assert_eq!(elements.into_f32(), [1.0, 2.0, 3.0]);
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
    fn an_adapter_replaces_a_tensor_by_one_made_of_it() {
        let mut tensors = state_dict();
        let turned = tensors.detach("a").unwrap().permuted(&[1, 0]).unwrap();
        tensors.attach("b", turned.scaled(2.0)).unwrap();
        assert_eq!(tensors.names().collect::<Vec<_>>(), ["b", "b.count"]);
        let elements = tensors.take("b", &[3, 1]).unwrap();
        assert_eq!(elements.into_f32(), [2.0, 4.0, 6.0]);
        assert!(
            matches!(tensors.detach("a"), Err(Error::MissingTensor { name, .. }) if name == "a")
        );
        let count = tensors.detach("b.count").unwrap();
        tensors.attach("c", count.clone()).unwrap();
        assert!(matches!(
            tensors.attach("c", count),
            Err(Error::DuplicateTensor { .. })
        ));
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
