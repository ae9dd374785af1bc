//! What old versions of PyTorch and Python 2 wrote, which no current version can be made to write.

use super::assemble::*;
use super::*;

#[test]
fn a_part_of_a_storage_as_old_files_have_it_is_read_and_checked() {
    let object = |first, len| {
        let storage = Pickle::new()
            .op(b"}")
            .text("weight")
            .global("torch._utils", "_rebuild_tensor")
            .op(b"((");
        let storage = storage
            .text("storage")
            .global("torch", "FloatStorage")
            .text("0")
            .text("cpu")
            .int(6);
        storage
            .op(b"(")
            .text("1")
            .int(first)
            .int(len)
            .op(b"ttQ")
            .int(1)
            .ints(&[2])
            .ints(&[1])
            .op(b"tRs")
            .stop()
    };
    let taken = take_all(Checkpoint::from_bytes(legacy(&object(2, 3))).unwrap());
    assert_eq!(taken, [("weight".to_owned(), vec![2], vec![3.5, 4.5])]);
    for (first, len, expected) in [
        (2, 2, "leaves its storage of 2 elements"),
        (4, 3, "a part of storage `0` that leaves it"),
        (7, 0, "a part of storage `0` that leaves it"),
        (i64::MAX, 1, "a part of storage `0` that leaves it"),
        (1, i64::MAX, "a part of storage `0` that leaves it"),
    ] {
        let error = error(legacy(&object(first, len)));
        assert!(
            matches!(&error, Error::Malformed { reason, .. } if reason.contains(expected)),
            "{error}"
        );
    }
}

#[test]
fn a_checkpoint_of_python_2_saved_on_a_gpu_is_read() {
    let string = |pickle: Pickle, text: &str| pickle.op([b'U', text.len() as u8]).op(text);
    // OrderedDict([['weight', tensor], ['count', 3]]), its strings without encoding.
    let mut object = Pickle::new()
        .global("collections", "OrderedDict")
        .op(b"](](");
    object = string(object, "weight")
        .global("torch._utils", "_rebuild_tensor_v2")
        .op(b"((");
    object = string(
        string(object, "storage").global("torch.cuda", "FloatStorage"),
        "94571",
    );
    object = string(object, "cuda:0")
        .int(6)
        .op(b"NtQ")
        .int(0)
        .ints(&[3, 2])
        .ints(&[1, 3])
        .op([0x89]);
    object = string(
        object.global("collections", "OrderedDict").op(b")RtRe]("),
        "count",
    )
    .int(3);
    let object = object.op([b'e', b'e', 0x85, b'R']).stop();
    let bytes = legacy_with(&object, &["94571"], &[(6, six_floats())]);
    let expected = vec![0.5, 3.5, 1.5, 4.5, 2.5, 5.5];
    assert_eq!(
        take_all(Checkpoint::from_bytes(bytes).unwrap()),
        [("weight".to_owned(), vec![3, 2], expected)]
    );
}

#[test]
fn what_follows_the_first_stream_of_a_file_is_left_alone() {
    let object = state_dict_of(Pickle::good_tensor);
    outcome([legacy(&object), legacy(&object)].concat()).unwrap();
}
