"""POST of :predict: a signature, a body, and the JSON or the status that answers."""

from server.conformance.table import (
    BATCHING,
    BATCHING_UTIL,
    EXECUTOR,
    HANDLER,
    HANDLER_TEST,
    JSON,
    JSON_TEST,
    KINDER,
    MISSING,
    RAPIDJSON,
    SESSION,
    STRICTER,
    Case,
)

NAN, INF = float("nan"), float("inf")


def rows(*values):
    return {"predictions": list(values)}


def columns(value):
    return {"outputs": value}


def document(body, there, source=RAPIDJSON, **more):
    """On a signature that gives back float32."""
    return Case(("echo_float32", body), there, source, **more)


def refused(dtype, text):
    """A value that is none of a dtype."""
    return Case((f"echo_{dtype}", f'{{"inputs": [{text}]}}'), 400, JSON)


# Deeper than Python reads: 1,000 lists, or 10,000 from 3.12 on.
DEEP = "[" * 50_000 + "]" * 50_000

DOCUMENTS = [
    document("", 400, JSON_TEST),
    document("  \n\t", 400),
    document("instances = [1, 2]", 400, HANDLER_TEST),
    document("[1]", 400, JSON),
    document("1", 400, JSON),
    document('"a"', 400, JSON),
    document("null", 400, JSON),
    document("{}", 400, JSON),
    document("{", 400),
    document('{"instances": [1', 400),
    document('{"instances": [1}', 400),
    document("{'instances': [1]}", 400),
    document('{"instances": [1,]}', 400),
    document('{"instances": [1],}', 400),
    document('{"instances" [1]}', 400),
    document("{instances: [1]}", 400),
    document('/* */ {"instances": [1]}', 400),
    document('{"instances": [01]}', 400),
    document('{"instances": [+1]}', 400),
    document('{"instances": [.5]}', 400),
    document('{"instances": [1.]}', 400),
    document('{"instances": [1e]}', 400),
    document('{"instances": [0x10]}', 400),
    document('{"instances": [--1]}', 400),
    document('{"instances": [nan]}', 400),
    document('{"instances": [True]}', 400),
    document(' \n{ "instances" : [ 1 , 2 ] } ', rows(1.0, 2.0)),
    document('{"instances": [1]} x', rows(1.0)),
    document('{"instances": [1]}{', rows(1.0)),
    document('{"instances": [1]}]', rows(1.0), JSON_TEST),
    document(b'{"instances": [1]}\xff', rows(1.0)),
    document(b'\xef\xbb\xbf{"instances": [1]}', rows(1.0)),
    document(b'\xff\xfe{"instances": [1]}', 400),
    document('{"instances": [NaN, Infinity, -Infinity]}', rows(NAN, INF, -INF)),
    document('{"instances": [Inf]}', rows(INF), here=400, why=MISSING),
    document('{"instances": [-Inf]}', rows(-INF), here=400, why=MISSING),
    document('{"instances": [1e400]}', 400),
    document('{"instances": [-1e400]}', 400),
    document('{"instances": [1], "other": 1e400}', 400),
    document('{"instances": [1' + "0" * 400 + "]}", 400),
    document('{"instances": [1e-400, 1e-50]}', rows(0.0, 0.0)),
    document('{"instances": [1], "instances": [2]}', rows(1.0), JSON),
    document('{"inputs": {"x": [1], "x": [2]}}', columns([1.0]), JSON),
    document('{"instances": [{"x": 1, "x": 2}]}', rows(1.0), JSON),
    document(
        '{"instances": [{"x": 1, "x": 2}, {"x": 3, "x": 4}]}',
        rows(1.0, 2.0),
        JSON,
        here=rows(1.0, 3.0),
        why=KINDER,
    ),
    document('{"instances": [1], "other": {"a": [null]}}', rows(1.0), JSON),
    document(f'{{"instances": [1], "a": {"[" * 100}{"]" * 100}}}', rows(1.0), JSON_TEST),
    document(f'{{"instances": [1], "a": {DEEP}}}', rows(1.0), JSON_TEST, here=400, why=STRICTER),
    Case((None, f'{{"signature_name": {DEEP}}}'), 400, JSON_TEST),
    document(f'{{"inputs": {"[" * 40}1{"]" * 40}}}', 400, SESSION),
]

NAMES = [
    Case((name, '{"instances": [[0, 0]]}'), there, source)
    for name, there, source in [
        (None, rows(0.5), HANDLER_TEST),
        ("", rows(0.5), HANDLER),
        ("serving_default", rows(0.5), HANDLER_TEST),
        ("defaulted", rows(0.5), HANDLER),
        ("other", 400, HANDLER),
        ("Serving_Default", 400, HANDLER),
        (5, 400, JSON_TEST),
        (True, 400, JSON),
        (["hello"], 400, JSON_TEST),
        ({}, 400, JSON),
    ]
] + [Case((None, '{"signature_name": null, "instances": [[0, 0]]}'), 400, JSON)]

TWO = '{"id": %s, "x": [%s, 0]}'
A, B = TWO % (4, 0), TWO % (2, 1)
TABLE_4 = [12 / 7, 13 / 7, 14 / 7]

LAYOUTS = [
    document('{"instances": [1, 2.5]}', rows(1.0, 2.5), JSON_TEST),
    document('{"instances": [[1, 2], [3, 4]]}', rows([1.0, 2.0], [3.0, 4.0]), JSON_TEST),
    document('{"instances": [{"x": 1}, {"x": 2}]}', rows(1.0, 2.0), JSON),
    document('{"instances": [[[1], [2]]]}', rows([[1.0], [2.0]]), JSON),
    document('{"instances": [[], []]}', rows([], []), JSON),
    document('{"instances": []}', 400, JSON),
    document('{"instances": {}}', 400, JSON),
    document('{"instances": 1}', 400, JSON),
    document('{"instances": null}', 400, JSON),
    document('{"instances": "a"}', 400, JSON),
    document('{"instances": [1], "inputs": [1]}', 400, JSON_TEST),
    document('{"instances": [[1, 2], [3, 4], [5, 6, 7]]}', 400, JSON_TEST),
    document('{"instances": [[1, 2], [3, 4], [[5, 6]]]}', 400, JSON_TEST),
    document('{"instances": [1, [1]]}', 400, JSON_TEST),
    document('{"instances": [[1], 1]}', 400, JSON),
    document('{"instances": [[1, [2]]]}', 400, JSON),
    document('{"instances": [[[1], 2]]}', 400, JSON),
    document('{"instances": [[1, 2], ["a", "b"]]}', 400, JSON_TEST),
    document('{"instances": [{"x": 1}, 2]}', 400, JSON_TEST),
    document('{"instances": [1, {"x": 2}]}', 400, JSON_TEST),
    document('{"instances": [{"y": 1}]}', 400, JSON),
    document('{"instances": [{"x": 1, "y": 1}]}', 400, JSON),
    document('{"instances": [{}]}', 400, JSON),
    document('{"instances": [{"x": 1}, {}]}', 400, JSON),
    document('{"instances": [{"x": {"y": 1}}]}', 400, JSON),
    document('{"inputs": [1, 2.5]}', columns([1.0, 2.5]), HANDLER_TEST),
    document('{"inputs": {"x": [[1], [2]]}}', columns([[1.0], [2.0]]), JSON_TEST),
    document('{"inputs": {"x": [1], "unknown": ["a"]}}', columns([1.0]), JSON),
    document('{"inputs": 1}', columns(1.0), JSON, batched=400),
    document('{"inputs": []}', columns([]), JSON),
    document('{"inputs": {}}', 400, JSON),
    document('{"inputs": null}', 400, JSON),
    document('{"inputs": {"y": [1]}}', 400, JSON),
    document('{"inputs": [[1], [2, 3]]}', 400, JSON),
    document('{"inputs": {"x": {"a": 1}}}', 400, JSON),
    Case(
        ("embed", f'{{"instances": [{A}]}}'),
        rows({"embedding": TABLE_4, "sum": 5.5714283}),
        JSON_TEST,
    ),
    Case(("embed", f'{{"instances": [{A}, {B}]}}'), 200, JSON_TEST),
    Case(("embed", '{"instances": [[4, 0]]}'), 400, JSON),
    Case(("embed", '{"instances": [{"id": 4}]}'), 400, JSON),
    Case(("embed", '{"instances": [{"id": 4, "x": [0, 0], "z": 1}]}'), 400, JSON),
    Case(("embed", f'{{"instances": [{A}, [4]]}}'), 400, JSON_TEST),
    Case(("embed", '{"inputs": [4]}'), 400, JSON),
    Case(("embed", '{"inputs": {"id": [4]}}'), 400, JSON),
    Case(("embed", '{"inputs": {"id": [4], "x": [[0, 0]]}}'), 200, JSON_TEST),
    Case(("embed", '{"inputs": {"id": [4], "x": [[0, 0]], "z": [1]}}'), 200, JSON),
    Case(("embed", '{"inputs": {"id": [4, 5], "x": [[0, 0]]}}'), 200, SESSION, batched=400),
    Case(("embed", '{"inputs": {"id": [99], "x": [[0, 0]]}}'), 400, SESSION),
    Case((None, '{"instances": [[0, 0, 0]]}'), 400, SESSION),
    Case((None, '{"instances": [0, 0]}'), 400, SESSION),
    Case((None, '{"inputs": []}'), 400, SESSION),
    Case(("slow", '{"inputs": 0}'), columns(200.0), SESSION, batched=400),
    Case(("slow", '{"instances": [0]}'), 400, SESSION),
]

INTEGERS = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 2**8 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
WRAPPED = {("int8", 128): -128, ("int16", 2**15): -(2**15), ("uint8", 256): 0}


def wrapped(dtype, number):
    """There, integers of int_val are cut to the last bits."""
    if (dtype, number) in WRAPPED:
        there = columns([WRAPPED[dtype, number]])
        return Case((f"echo_{dtype}", f'{{"inputs": [{number}]}}'), there, JSON, 400, KINDER)
    return refused(dtype, number)


VALUES = (
    [
        Case((f"echo_{dtype}", f'{{"inputs": [{number}]}}'), columns([number]), JSON)
        for dtype, bounds in INTEGERS.items()
        for number in bounds
    ]
    + [wrapped(dtype, high + 1) for dtype, (_, high) in INTEGERS.items()]
    + [
        refused(dtype, text)
        for dtype in ("int8", "int32", "int64", "uint64")
        for text in ("1.0", "true", '"1"', "null", "{}", '{"b64": "YQ=="}')
    ]
    + [
        refused("uint64", "-1"),
        refused("uint32", "-1"),
        Case(("echo_uint8", '{"inputs": [-1]}'), columns([255]), JSON, 400, KINDER),
        Case(("echo_int32", '{"inputs": [-0]}'), columns([0]), RAPIDJSON),
        refused("int64", "1e3"),
    ]
    + [
        refused(dtype, text)
        for dtype in ("float32", "float64")
        for text in ("true", '"1"', "null", "{}", '{"b64": "YQ=="}')
    ]
    + [
        Case(
            ("echo_float64", '{"inputs": [0.1, 2, 1e308]}'), columns([0.1, 2.0, 1e308]), JSON_TEST
        ),
        Case(
            ("echo_float32", '{"inputs": [0.1, 16777217]}'), columns([0.1, 16777216.0]), JSON_TEST
        ),
        Case(("echo_float32", '{"inputs": [1435774380]}'), columns([1435774340.0]), JSON_TEST),
        Case(("echo_float32", '{"inputs": [1.7e308, -1.7e308]}'), columns([INF, -INF]), JSON_TEST),
        Case(("echo_float32", '{"inputs": [2e-308]}'), columns([0.0]), JSON_TEST),
        Case(("echo_float32", f'{{"inputs": [{10**30}]}}'), columns([1e30]), RAPIDJSON),
        Case(("echo_float32", '{"inputs": [9e6, 3e-05]}'), columns([9e6, 3e-05]), JSON_TEST),
        Case(("echo_bool", '{"inputs": [true, false]}'), columns([True, False]), JSON),
        Case(("echo_bool", '{"inputs": [1]}'), 400, JSON),
        Case(("echo_bool", '{"inputs": ["true"]}'), 400, JSON),
        Case(("echo_bool", '{"inputs": [null]}'), 400, JSON),
        Case(("echo_string", '{"inputs": ["a", "é", ""]}'), columns(["a", "é", ""]), JSON),
        Case(
            ("echo_string", '{"inputs": ["\\ud83d\\ude00\\n"]}'),
            columns(["\U0001f600\n"]),
            RAPIDJSON,
        ),
        Case(("echo_string", '{"inputs": ["\\ud800"]}'), 400, RAPIDJSON),
        Case(("echo_bytes", '{"inputs": ["\\udc00"]}'), 200, RAPIDJSON, 400, KINDER),
        Case(("echo_string", '{"inputs": ["\\u12"]}'), 400, RAPIDJSON),
        Case(("echo_string", '{"inputs": ["\\x"]}'), 400, RAPIDJSON),
        Case(("echo_string", '{"inputs": ["a\nb"]}'), 400, RAPIDJSON),
        Case(("echo_string", '{"inputs": [1]}'), 400, JSON),
        Case(("echo_string", '{"inputs": [true]}'), 400, JSON),
        Case(("echo_string", '{"inputs": [null]}'), 400, JSON),
        Case(("echo_string", '{"instances": [{"b64": "aGVsbG8="}]}'), rows("hello"), JSON_TEST),
        Case(("echo_string", '{"instances": [[{"b64": "aGVsbG8="}]]}'), rows(["hello"]), JSON_TEST),
        Case(("echo_string", '{"instances": [{"x": {"b64": "YQ=="}}]}'), rows("a"), JSON_TEST),
        Case(("echo_string", '{"inputs": {"b64": "YQ=="}}'), columns("a"), JSON, batched=400),
        Case(
            ("echo_string", '{"inputs": [{"b64": "YQ"}, {"b64": " Y Q == "}]}'),
            columns(["a", "a"]),
            JSON,
        ),
        Case(("echo_string", '{"inputs": [{"b64": ""}]}'), columns([""]), JSON),
        Case(("echo_string", '{"inputs": [{"b64": "YQ="}]}'), 400, JSON),
        Case(("echo_string", '{"inputs": [{"b64": "Y"}]}'), 400, JSON),
        Case(("echo_string", '{"inputs": [{"b64": "_-=="}]}'), 400, JSON),
        Case(("echo_string", '{"inputs": [{"b64": 1}]}'), 400, JSON),
        Case(("echo_string", '{"inputs": [{"b64": "YQ==", "a": 1}]}'), 400, JSON),
        Case(("echo_string", '{"instances": [{"b64": 1}]}'), 400, JSON),
        Case(
            ("echo_bytes", '{"inputs": [{"b64": "AP8="}]}'), columns([{"b64": "AP8="}]), JSON_TEST
        ),
        Case(("echo_bytes", b'{"inputs": ["\xff"]}'), columns([{"b64": "/w=="}]), RAPIDJSON),
        Case(("echo_string", '{"inputs": [{"b64": "/w=="}]}'), 200, JSON, 400, KINDER),
    ]
    + [
        Case((f"echo_{dtype}", '{"inputs": [1]}'), 501, JSON)
        for dtype in ("float16", "bfloat16", "uint16", "complex64")
    ]
    + [
        Case((f"echo_{dtype}", f'{{"inputs": {values}}}'), 501, JSON, 400, KINDER)
        for dtype in ("float16", "complex64")
        for values in ('["a"]', "[null]", "[1, [2]]")
    ]
    + [
        Case(("echo_float16", '{"inputs": [{"a": 1}]}'), 400, JSON),
        Case(("echo_float16", '{"inputs": [[], 1]}'), 400, JSON),
        Case(("echo_float16", '{"inputs": []}'), 400, JSON),
    ]
)

ANSWERS = [
    Case(
        ("reduce", '{"inputs": [1, 2]}'),
        columns({"sum": 3.0, "same": [1.0, 2.0]}),
        JSON,
        batched=400,
    ),
    Case(("reduce", '{"instances": [1, 2]}'), 400, JSON),
    Case(("to_half", '{"instances": [1]}'), 400, JSON),
    Case(
        ("text", '{"instances": ["a"]}'), rows({"text_bytes": {"b64": "YSE="}, "upper": "A"}), JSON
    ),
    Case(
        ("text", '{"inputs": ["a"]}'),
        columns({"text_bytes": [{"b64": "YSE="}], "upper": ["A"]}),
        JSON,
    ),
    Case(("text", '{"inputs": []}'), columns({"text_bytes": [], "upper": []}), JSON_TEST),
    Case(("regress", '{"inputs": [""]}'), columns([0.5]), HANDLER),
    Case(("classify_scores", '{"instances": [""]}'), rows([0.5, 0.5]), HANDLER),
    Case(("regress_records", '{"inputs": ["no record"]}'), 400, SESSION),
    document('{"instances": [' + ", ".join(["1"] * 16) + "]}", rows(*[1.0] * 16), EXECUTOR),
    document(
        '{"instances": [' + ", ".join(["1"] * 17) + "]}", rows(*[1.0] * 17), EXECUTOR, batched=400
    ),
    document('{"inputs": [[1, 2, 3]]}', columns([[1.0, 2.0, 3.0]]), BATCHING_UTIL),
    Case(("classify_first", '{"inputs": ["", ""]}'), columns([[0.5, 0.5]]), BATCHING, batched=400),
]

CASES = DOCUMENTS + NAMES + LAYOUTS + VALUES + ANSWERS
