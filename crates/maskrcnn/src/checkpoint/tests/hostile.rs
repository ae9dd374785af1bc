//! Pickles that would run code, or that are small and would grow without bound.

use std::time::{Duration, Instant};

use super::assemble::*;
use super::*;

fn assert_object_fails(object: &[u8], expected: impl Fn(&Error) -> bool) {
    for bytes in [legacy(object), zip(object)] {
        let error = error(bytes);
        assert!(expected(&error), "{error}");
    }
}

fn assert_object_malformed(object: &[u8], expected: &str) {
    assert_object_fails(
        object,
        |error| matches!(error, Error::Malformed { reason, .. } if reason.contains(expected)),
    );
}

/// Adds opcodes to a pickle.
type Way = fn(Pickle) -> Pickle;

#[test]
fn code_is_refused_by_name_whichever_opcodes_ask_for_it() {
    let ways: [(&str, Way); 15] = [
        ("os.system", |p| p.global("os", "system")),
        ("os.system", |p| {
            p.global("os", "system").op(b"(").text("true").op(b"tR")
        }),
        ("posix.system", |p| {
            p.global("posix", "system").text("true").op([0x85, b'R'])
        }),
        ("builtins.eval", |p| {
            p.stack_global("builtins", "eval")
                .text("1")
                .op([0x85, b'R'])
        }),
        ("builtins.exec", |p| p.stack_global("builtins", "exec")),
        ("os.system", |p| {
            p.op(b"(").text("true").op(b"ios\nsystem\n")
        }),
        ("os.system", |p| {
            p.op(b"(").global("os", "system").text("true").op(b"o")
        }),
        ("subprocess.Popen", |p| {
            p.global("subprocess", "Popen")
                .text("true")
                .op([0x85, 0x81])
        }),
        ("subprocess.Popen", |p| {
            p.stack_global("subprocess", "Popen").op(b")}").op([0x92])
        }),
        ("os.system", |p| p.op(b"}").global("os", "system").op(b"b")),
        ("os.system", |p| p.global("os", "system").op(b"0N")), // thrown away again
        ("torch.load", |p| p.global("torch", "load")),
        ("torch._utils.system", |p| {
            p.global("torch._utils", "system")
        }),
        ("collections.OrderedDict.__init__", |p| {
            p.stack_global("collections", "OrderedDict.__init__")
        }),
        ("copyreg extension 7", |p| p.op([0x82, 7])),
    ];
    for (expected, way) in ways {
        let named = |error: &Error| match error {
            Error::ForbiddenGlobal { global } => global == expected,
            _ => false,
        };
        assert_object_fails(&state_dict_with(way), named);
    }
    // Also in the parts of a legacy file that hold no tensors.
    let evil = Pickle::new().global("os", "system").stop();
    let object = state_dict_of(Pickle::good_tensor);
    let as_version = [&legacy_header(true, 1001)[..15], &evil].concat();
    for bytes in [
        as_version,
        [legacy_header(true, 1001), object, evil].concat(),
    ] {
        assert!(matches!(error(bytes), Error::ForbiddenGlobal { global } if global == "os.system"));
    }
}

#[test]
fn listed_globals_take_only_the_arguments_they_are_made_for() {
    let ways: [Way; 12] = [
        |p| p.text("not callable").op(b")R"),
        |p| {
            p.global("collections", "OrderedDict")
                .text("not a tuple")
                .op(b"R")
        },
        |p| {
            p.global("collections", "OrderedDict")
                .text("pairs")
                .op([0x85, b'R'])
        },
        |p| {
            p.global("collections", "OrderedDict")
                .op(b"](")
                .text("no pair")
                .op([b'e', 0x85, b'R'])
        },
        |p| p.global("torch", "Size").op(b")R"),
        |p| p.global("torch", "FloatStorage").op(b")R"),
        |p| p.global("torch", "float32").op(b")R"),
        |p| p.global("torch._utils", "_rebuild_tensor_v2").op(b")R"),
        |p| {
            p.global("torch._utils", "_rebuild_tensor_v2")
                .op(b"(N")
                .int(0)
                .op(b"))tR")
        },
        |p| {
            p.global("torch._utils", "_rebuild_parameter")
                .op(b"N")
                .op([0x85, b'R'])
        },
        |p| {
            p.global("torch._tensor", "_rebuild_from_type_v2")
                .op(b"2")
                .op(b")")
                .op([0x87, b'R'])
        },
        |p| p.good_tensor().op(b"}b"),
    ];
    for way in ways {
        assert_object_fails(&state_dict_with(way), |error| {
            matches!(error, Error::Malformed { .. })
        });
    }
}

#[test]
fn persistent_ids_other_than_storages_are_refused() {
    let ways: [Way; 6] = [
        |p| p.text("0").op(b"Q"),
        |p| p.op(b")Q"),
        |p| {
            p.op(b"(")
                .text("module")
                .global("torch", "FloatStorage")
                .text("f")
                .text("s")
                .op(b"NtQ")
        },
        |p| {
            p.op(b"(")
                .text("storage")
                .global("torch", "Size")
                .text("0")
                .text("cpu")
                .int(6)
                .op(b"NtQ")
        },
        |p| {
            p.op(b"(")
                .text("storage")
                .global("torch", "FloatStorage")
                .int(0)
                .text("cpu")
                .int(6)
                .op(b"NtQ")
        },
        |p| {
            p.op(b"(")
                .text("storage")
                .global("torch", "FloatStorage")
                .text("0")
                .text("cpu")
                .int(-6)
                .op(b"NtQ")
        },
    ];
    for way in ways {
        assert_object_malformed(&state_dict_with(way), "a persistent id that is no storage");
    }
}

#[test]
fn opcodes_that_make_no_sense_are_refused() {
    let cases: [(&[u8], &str); 19] = [
        (b"h\xff", "nothing is memorised as 255"),
        (b"j\xff\xff\xff\xff", "nothing is memorised as 4294967295"),
        (b"(R", "nothing is left on the stack"),
        (b"(\x87", "a tuple of more items"),
        (b"N\x80\x00", "pickle protocol 0"),
        (b"N\x80\x06", "pickle protocol 6"),
        (b"X\xff\xff\xff\xff", "cut short"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "cut short"),
        (b"X\x02\0\0\0\xff\xfe", "text that is not UTF-8"),
        (b"\x8b\xff\xff\xff\xff", "cut short"),
        (b"B\xff\xff\xff\x7f", "cut short"),
        (b"NNa", "appends to None"),
        (b"NNNs", "sets items of None"),
        (b"N(N\x90", "adds items to None"),
        (b"NNb", "sets attributes of None"),
        (b"NN\x93", "by something else than two strings"),
        (b"I01\n", "opcode 0x49"),
        (b"P0\n", "opcode 0x50"),
        (b"\x97", "opcode 0x97"),
    ];
    for (opcodes, expected) in cases {
        assert_object_malformed(&state_dict_with(|p| p.op(opcodes)), expected);
    }
    assert_object_malformed(&state_dict_with(|p| p.op(b"t")), "no mark on the stack");
    assert_object_malformed(&state_dict_with(|p| p.op(b"NN")), "a key without a value");
    let endless_name = state_dict_with(|p| p.op(b"c").op("x".repeat(1 << 16)));
    assert_object_malformed(&endless_name, "an unreadable name");
}

/// Asserts that an object is read or refused, but soon.
fn assert_quick(object: &[u8], is_good: bool) {
    for bytes in [legacy(object), zip(object)] {
        let start = Instant::now();
        assert_eq!(outcome(bytes).is_ok(), is_good);
        // Thousands of times what it takes: this is about the difference between linear and
        // exponential.
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn nesting_is_as_deep_as_it_likes_and_costs_no_stack() {
    let depth = 200_000;
    assert_quick(&state_dict_with(|p| p.op(b"N").op(vec![0x85; depth])), true);
    assert_quick(
        &state_dict_with(|p| p.op(vec![b']'; depth]).op(vec![b'a'; depth - 1])),
        true,
    );
    assert_quick(
        &state_dict_with(|p| p.op(vec![b'('; depth]).op(vec![b't'; depth])),
        true,
    );
}

#[test]
fn a_list_that_holds_itself_does_no_harm() {
    assert_quick(&state_dict_with(|p| p.op(b"]q\x05h\x05a")), true);
    assert_quick(
        &Pickle::new()
            .op(b"}q\x05")
            .text("model")
            .op(b"h\x05s")
            .text("x")
            .good_tensor()
            .op(b"s")
            .stop(),
        true,
    );
}

#[test]
fn a_billion_laughs_cost_nothing() {
    // Each list holds the one before ten times over.
    let laughs = |mut pickle: Pickle| {
        pickle = pickle.op(b"]q\x00");
        for level in 0..100 {
            pickle = pickle
                .op(b"](")
                .op([b'h', level].repeat(10))
                .op([b'e', b'q', level + 1]);
        }
        // All but the last list are left on the stack; a tuple takes them together.
        pickle
    };
    assert_quick(&state_dict_with(|p| laughs(p.op(b"(")).op(b"t")), true);
}

#[test]
fn copies_and_repeated_searches_of_what_is_shared_are_paid_for() {
    // A list of 1000 pairs, from which 10 000 dicts are made.
    let pairs = |p: Pickle| p.op(b"](").op(b"NN\x86".repeat(1000)).op(b"eq\x00");
    let dict = [b"ccollections\nOrderedDict\n".as_slice(), b"h\x00\x85R0"].concat();
    let object = state_dict_with(|p| pairs(p).op(dict.repeat(10_000)));
    assert_object_malformed(&object, "more than 1048576 steps");

    // A dict of 100 000 entries without tensors, which stands 100 000 times in the root.
    let mut object = Pickle::new()
        .op(b"}")
        .op(b"}(")
        .op(b"NN".repeat(100_000))
        .op(b"uq\x00")
        .op(b"0(");
    for i in 0..100_000 {
        object = object.text(&i.to_string()).op(b"h\x00");
    }
    assert_quick(&object.op(b"u").stop(), false);
}

#[test]
fn endless_work_and_endless_memory_are_given_up() {
    let endless: [&[u8]; 6] = [b"N", b"]", b"(", b"N0", b"N2", b"Nr\xff\xff\xff\xff"];
    for opcodes in endless {
        let object = state_dict_with(|p| p.op(opcodes.repeat(1_100_000)));
        assert_object_malformed(&object, "more than 1048576 steps");
    }
    // One memo, however far apart its numbers are.
    let sparse_memo = state_dict_with(|p| p.op(b"Nr\xff\xff\xff\xffr\0\0\0\x80"));
    assert_quick(&sparse_memo, true);
}

/// Adds a module with these parameters and submodules: what `torch.save` writes of one, without the
/// attributes that nobody looks at.
fn module(
    p: Pickle,
    parameters: impl Fn(Pickle) -> Pickle,
    modules: impl Fn(Pickle) -> Pickle,
) -> Pickle {
    let p = p.global("__main__", "Net").op(b")\x81}(");
    let p = parameters(p.text("_parameters").op(b"}("));
    let p = modules(p.op(b"u").text("_modules").op(b"}("));
    p.op(b"uub")
}

#[test]
fn modules_that_share_or_hold_themselves_are_given_up() {
    let one = |p: Pickle| p.text("weight").good_tensor();
    let good = module(Pickle::new(), one, |p| module(p.text("head"), one, |p| p)).stop();
    for bytes in [legacy(&good), zip(&good)] {
        let tensors = take_all(Checkpoint::from_bytes(bytes).unwrap());
        let names: Vec<_> = tensors.iter().map(|(name, ..)| &**name).collect();
        assert_eq!(names, ["head.weight", "weight"]);
    }

    // Each holds the one before twice: 2⁵⁰ names.
    let mut laughs = module(Pickle::new(), one, |p| p).op(b"q\x00");
    for level in 0..50 {
        let twice = |p: Pickle| p.text("a").op([b'h', level]).text("b").op([b'h', level]);
        laughs = module(laughs, one, twice).op([b'q', level + 1]);
    }
    // One that is its own submodule.
    let own = Pickle::new().global("__main__", "Net").op(b")\x81q\x00}(");
    let own = one(own.text("_parameters").op(b"}(")).op(b"u");
    let own = own.text("_modules").op(b"}(").text("a").op(b"h\x00uub");
    for pickle in [laughs, own] {
        assert_quick(&pickle.clone().stop(), false);
        assert_object_malformed(&pickle.stop(), "modules of more than 1048576 steps");
    }

    // A state of 100 000 entries that is no module's, of 100 000 objects.
    let objects = state_dict_with(|p| {
        p.op(b"(}(")
            .op(b"NN".repeat(100_000))
            .op(b"uq\x00c__main__\nNet\nq\x01)q\x02")
            .op(b"h\x01h\x02Rh\x00b".repeat(100_000))
            .op(b"l")
    });
    assert_object_malformed(&objects, "modules of more than 1048576 steps");
}

#[test]
fn more_tensors_than_any_network_has_are_refused() {
    let mut dict = Pickle::new().op(b"}(").text("w").good_tensor().op(b"q\x00");
    for number in 0..40_000 {
        dict = dict.text(&number.to_string()).op(b"h\x00");
    }
    assert_object_malformed(&dict.op(b"u").stop(), "more than 32768 tensors");
}

#[test]
fn an_object_never_hides_what_only_attacks_name() {
    let ways: [Way; 4] = [
        |p| {
            p.global("argparse", "Namespace")
                .op(b")\x81}")
                .text("x")
                .global("os", "system")
                .op(b"sb")
        },
        |p| {
            p.global("functools", "partial")
                .global("os", "system")
                .op([0x85, b'R'])
        },
        |p| p.global("__main__", "os.system"),
        |p| {
            p.global("builtins", "getattr")
                .global("__main__", "x")
                .text("y")
                .op([0x86, b'R'])
        },
    ];
    for way in ways {
        assert_object_fails(&state_dict_with(way), |error| {
            matches!(error, Error::ForbiddenGlobal { .. })
        });
    }
}
