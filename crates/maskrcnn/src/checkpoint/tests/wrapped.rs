//! Wrapped tensors that no library writes. Those that `torch.distributed` writes are in
//! `family/wrapped.rs` and `foreign.rs`.

use super::assemble::*;
use super::*;

const API: (&str, &str) = ("torch.distributed.tensor", "DTensor");

/// A tensor rebuilt as one of a class, of a shape, with what `state` pushes.
fn wrapper(
    pickle: Pickle,
    class: (&str, &str),
    shape: &[i64],
    state: impl Fn(Pickle) -> Pickle,
) -> Pickle {
    let pickle = pickle
        .global("torch._tensor", "_rebuild_from_type_v2")
        .op(b"(")
        .global("torch._utils", "_rebuild_wrapper_subclass")
        .global(class.0, class.1)
        .op(b"(")
        .global(class.0, class.1)
        .global("torch", "float32")
        .ints(shape)
        .op(b"t");
    state(pickle).op(b"tR")
}

/// `{"_local_tensor": …, "_spec": <spec with placements of this class>}`
fn attributes(pickle: Pickle, placement: &str) -> Pickle {
    pickle
        .op(b"}(")
        .text("_local_tensor")
        .good_tensor()
        .text("_spec")
        .global("torch.distributed.tensor._dtensor_spec", "DTensorSpec")
        .op(b")\x81}")
        .text("placements")
        .global("torch.distributed.tensor.placement_types", placement)
        .op(b")\x81\x85sbu")
}

fn of(
    class: (&str, &str),
    shape: &[i64],
    state: impl Fn(Pickle) -> Pickle,
) -> std::result::Result<(), Error> {
    let object = state_dict_of(|pickle| wrapper(pickle, class, shape, &state));
    outcome(zip(&object))
}

#[test]
fn whole_tensors_of_every_release_are_taken_out_of_wrappers() {
    for module in [
        "torch.distributed.tensor",
        "torch.distributed._tensor.api",
        "torch.distributed.tensor._api",
    ] {
        for placement in ["Shard", "_StridedShard", "Replicate"] {
            let class = (module, "DTensor");
            of(class, &[2, 3], |p| attributes(p, placement)).unwrap();
            // As an attribute of an object with slots, and of one without.
            of(class, &[2, 3], |p| {
                attributes(p.op(b"N"), placement).op(b"\x86")
            })
            .unwrap();
        }
    }
}

#[test]
fn wrappers_that_make_no_sense_are_refused() {
    let whole = |p: Pickle| attributes(p, "Shard");
    for (class, shape, state, expected) in [
        (
            API,
            &[4, 3][..],
            &whole as &dyn Fn(Pickle) -> Pickle,
            "a piece [2, 3] of a tensor [4, 3]",
        ),
        (
            API,
            &[2, 3],
            &|p| attributes(p, "Partial"),
            "a tensor whose values are spread",
        ),
        (
            API,
            &[2, 3],
            &|p| attributes(p, "Ragged"),
            "a tensor whose values are spread",
        ),
        (API, &[2, 3], &|p| p.op(b"}"), "a DTensor without a tensor"),
        (API, &[2, 3], &|p| p.op(b"N"), "a DTensor without a tensor"),
        (API, &[2, 3], &|p| p, "a DTensor without a tensor"),
        (API, &[1; 17], &whole, "a DTensor without a shape"),
        (
            ("torchao.dtypes", "AffineQuantizedTensor"),
            &[2, 3],
            &whole,
            "a tensor of the class `torchao.dtypes.AffineQuantizedTensor` is not supported",
        ),
    ] {
        let message = of(class, shape, state).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}, not {expected}");
    }
    // Called by itself, as a tensor without data is.
    let bare = state_dict_of(|pickle| {
        pickle
            .global("torch._utils", "_rebuild_wrapper_subclass")
            .op(b"(")
            .global("torch._subclasses.fake_tensor", "FakeTensor")
            .op(b"tR")
    });
    let message = error(zip(&bare)).to_string();
    assert!(message.contains("fake_tensor.FakeTensor"), "{message}");
}

/// A dict that each of many wrappers has searched to its end.
#[test]
fn a_shared_state_is_searched_within_the_budget() {
    let mut pickle = Pickle::new().op(b"}(");
    for number in 0..4000 {
        pickle = pickle.int(number).op(b"N");
    }
    pickle = pickle.text("_local_tensor").good_tensor().op(b"uq\x01");
    for _ in 0..1000 {
        pickle = wrapper(pickle, API, &[2, 3], |p| p.op(b"h\x01"));
    }
    let message = error(zip(&pickle.stop())).to_string();
    assert!(
        message.starts_with("damaged PyTorch (zip) file") || message.contains("spread"),
        "{message}"
    );
}
