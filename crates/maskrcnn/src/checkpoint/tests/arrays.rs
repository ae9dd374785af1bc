//! NumPy arrays in pickles: what NumPy 1 and 2 wrote by each protocol, see
//! tests/reference/make_pickles.py, and what none would write.

use super::assemble::*;
use super::fixtures::{assert_reads, expected};
use super::*;
use crate::checkpoint::Format;

#[test]
fn arrays_of_numpy_1_and_2_are_read_by_every_protocol() {
    let expected = expected("arrays");
    assert_eq!(expected.len(), 19);
    for numpy in [1, 2] {
        for protocol in 2..=5 {
            let file = format!("arrays-numpy{numpy}-protocol{protocol}.pkl");
            assert_reads(&file, Format::Pickle, &expected);
        }
    }
}

#[test]
fn arrays_of_what_is_no_number_are_refused_by_name() {
    for (name, kind) in [
        ("objects", "`O8` (Python objects)"),
        ("records", "`V8` (records)"),
        ("complex_numbers", "`c8` (complex numbers)"),
        ("texts", "`U6` (texts)"),
        ("times", "`M8` (times)"),
    ] {
        let error = error(bytes(&format!("refused/{name}.pkl")));
        assert_eq!(
            error.to_string(),
            format!(
                "array `{name}` of NumPy's type {kind} is not supported; \
                 save arrays of float64, float32 or float16"
            )
        );
    }
}

/// `_reconstruct(ndarray, (0,), b"b")`, as Python 2 writes it.
fn begun(pickle: Pickle, class: (&str, &str)) -> Pickle {
    pickle
        .global("numpy.core.multiarray", "_reconstruct")
        .global(class.0, class.1)
        .ints(&[0])
        .op(b"U\x01b")
        .op([0x87, b'R'])
}

/// `dtype(code)` with this order of bytes.
fn element(pickle: Pickle, code: &str, order: &str) -> Pickle {
    let pickle = pickle.global("numpy", "dtype").op(b"(").text(code);
    let pickle = pickle.op(b"K\x00K\x01tR(K\x03").text(order);
    pickle.op(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
}

/// An array of floats in C's order with these bytes.
fn array(pickle: Pickle, shape: &[i64], data: &[u8]) -> Pickle {
    let pickle = begun(pickle, ("numpy", "ndarray"))
        .op(b"(K\x01")
        .ints(shape);
    let pickle = element(pickle, "f4", "<").op([0x89]).op(b"T");
    pickle
        .op((data.len() as u32).to_le_bytes())
        .op(data)
        .op(b"tb")
}

#[test]
fn arrays_that_python_2_wrote_are_read() {
    for values in [[0.5f32, -3.25], [f32::from_bits(0x4141_4141); 2]] {
        let data: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let checkpoint =
            Checkpoint::from_bytes(state_dict_of(|pickle| array(pickle, &[2, 1], &data))).unwrap();
        let taken = take_all(checkpoint);
        assert_eq!(taken, [("weight".to_owned(), vec![2, 1], values.to_vec())]);
    }
}

#[test]
fn arrays_stand_beside_tensors_in_files_of_pytorch() {
    let object = state_dict_with(|pickle| array(pickle, &[1], &2.5f32.to_le_bytes()));
    for bytes in [zip(&object), legacy(&object)] {
        let taken = take_all(Checkpoint::from_bytes(bytes).unwrap());
        assert_eq!(taken.len(), 2);
        assert_eq!(taken[1], ("x".to_owned(), vec![1], vec![2.5]));
    }
}

#[test]
fn an_array_must_have_the_bytes_of_its_shape() {
    let eight = [0u8; 8];
    for (shape, data, reason) in [
        (&[3][..], &eight[..], "has 8 bytes, expected 12"),
        (&[1], &eight, "has 8 bytes, expected 4"),
        (&[0], &eight, "has 8 bytes, expected 0"),
        (&[1 << 62, 4], &eight, "has the shape"),
        (&[i64::MAX, i64::MAX, i64::MAX], &eight, "has the shape"),
        (&[-2, -1], &eight, "has the shape"),
        (&[1; 17], &eight, "no tuple of integers"),
    ] {
        let error = error(state_dict_of(|pickle| array(pickle, shape, data)));
        assert!(
            matches!(&error, Error::Malformed { reason: found, .. } if found.contains(reason)),
            "{shape:?}: {error}"
        );
    }
}

/// Adds opcodes to a pickle.
type Way = fn(Pickle) -> Pickle;

#[test]
fn what_is_no_array_is_none() {
    // A subclass may do anything when it is made; here it stays an object.
    let masked = state_dict_of(|pickle| {
        let pickle = begun(pickle, ("numpy.ma.core", "MaskedArray"));
        pickle.op(b"}b")
    });
    let message = error(masked).to_string();
    assert!(
        message.starts_with("a pickle without a state dict"),
        "{message}"
    );
    // Made, and never filled.
    let empty = error(state_dict_of(|pickle| begun(pickle, ("numpy", "ndarray"))));
    assert!(
        empty
            .to_string()
            .starts_with("a pickle without a state dict"),
        "{empty}"
    );

    let state = |then: Way| {
        error(state_dict_of(move |pickle| {
            then(begun(pickle, ("numpy", "ndarray")))
        }))
    };
    let cases: [(Way, &str); 6] = [
        (|p| p.op(b"}b"), "something else than a tuple"),
        (|p| p.op(b"(NNtb"), "an array of 2 parts"),
        (
            |p| p.op(b"(K\x01").ints(&[1]).op(b"N\x89U\x00tb"),
            "without an element type",
        ),
        (
            |p| element(p.op(b"(K\x01").ints(&[1]), "f4", "<").op(b"NNtb"),
            "without an order of its elements",
        ),
        (
            |p| element(p.op(b"(K\x01").ints(&[1]), "f4", "<").op(b"\x89Ntb"),
            "has None in place of its elements",
        ),
        (|p| element(p, "f4", "?"), "without an order of bytes"),
    ];
    for (then, reason) in cases {
        let error = state(then);
        assert!(
            matches!(&error, Error::Malformed { reason: found, .. } if found.contains(reason)),
            "{reason}: {error}"
        );
    }
}

/// `_frombuffer(data, dtype("f4"), shape, order, axes)`.
fn buffer(pickle: Pickle, data: &[u8], shape: &[i64], order: &str, axes: &[i64]) -> Pickle {
    let pickle = pickle.global("numpy._core.numeric", "_frombuffer");
    let pickle = pickle
        .op([b'(', 0x96])
        .op((data.len() as u64).to_le_bytes());
    let pickle = element(pickle.op(data), "f4", "<").ints(shape);
    pickle.text(order).ints(axes).op(b"tR")
}

#[test]
fn axes_are_in_the_order_that_protocol_5_says() {
    let data = six_floats();
    let read = |order, axes: &[i64]| {
        Checkpoint::from_bytes(state_dict_of(|p| buffer(p, &data, &[2, 3], order, axes)))
    };
    let values = |checkpoint: Result<Checkpoint>| take_all(checkpoint.unwrap()).remove(0);
    let (_, shape, found) = values(read("K", &[1, 0]));
    assert_eq!(
        (shape, found),
        (vec![3, 2], vec![0.5, 3.5, 1.5, 4.5, 2.5, 5.5])
    );
    let (_, shape, found) = values(read("F", &[]));
    assert_eq!(
        (shape, found),
        (vec![2, 3], vec![0.5, 2.5, 4.5, 1.5, 3.5, 5.5])
    );
    for axes in [&[0, 0][..], &[0], &[0, 2], &[0, 1, 2], &[-1, 0]] {
        let error = read("K", axes).err().unwrap();
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{axes:?}: {error}"
        );
    }
}

#[test]
fn characters_that_are_no_bytes_are_refused() {
    let text = |text: &'static str| {
        state_dict_of(move |pickle| {
            let pickle = begun(pickle, ("numpy", "ndarray")).op(b"(K\x01").ints(&[1]);
            let pickle = element(pickle, "f4", "<").op([0x89]);
            let pickle = pickle.global("_codecs", "encode").text(text).text("latin1");
            pickle.op([0x86, b'R']).op(b"tb")
        })
    };
    let taken = take_all(Checkpoint::from_bytes(text("\0\u{80}\u{ff}B")).unwrap());
    let expected = f32::from_le_bytes([0, 0x80, 0xff, 0x42]);
    assert_eq!(taken, [("weight".to_owned(), vec![1], vec![expected])]);
    let error = error(text("abc\u{100}"));
    assert!(
        error.to_string().contains("characters that are no bytes"),
        "{error}"
    );
}

#[test]
fn one_text_of_many_arrays_is_looked_at_once() {
    const ARRAYS: usize = 10_000;
    const LENGTH: usize = 1 << 20;
    let long = "\u{80}".repeat(LENGTH);
    let mut pickle = Pickle::new().text(&long).op(b"q\x00").op(b"0}(");
    for number in 0..ARRAYS {
        pickle = begun(pickle.text(&number.to_string()), ("numpy", "ndarray"));
        pickle = element(pickle.op(b"(K\x01").ints(&[LENGTH as i64]), "u1", "|").op([0x89]);
        pickle = pickle
            .global("_codecs", "encode")
            .op(b"h\x00")
            .text("latin1");
        pickle = pickle.op([0x86, b'R']).op(b"tb");
    }
    // Looked at once an array, it would be 20 GB.
    let start = std::time::Instant::now();
    let checkpoint = Checkpoint::from_bytes(pickle.op(b"u").stop()).unwrap();
    assert_eq!(checkpoint.tensors.names().count(), ARRAYS);
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}
