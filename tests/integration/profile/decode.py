"""decode.py FILE: a profile.proto, read without any library; prints it as JSON. Says what is wrong with it, and exits 1."""
import json
import sys


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        assert shift < 70, "a number of more than ten bytes"


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        assert kind in (0, 2), f"wire type {kind}"
        value, at = varint(data, at)
        if kind == 2:
            assert at + value <= len(data), "a field is longer than what it is in"
            value, at = data[at : at + value], at + value
        yield key >> 3, value


def numbers(value):
    if isinstance(value, int):
        return [value]
    out, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        out.append(number)
    return out


def record(data, lists=()):
    out = {number: [] for number in lists}
    for number, value in fields(data):
        if number in lists:
            out[number].append(value)
        else:
            assert number not in out, f"field {number} twice"
            out[number] = value
    return out


def profile(data):
    top = record(data, (1, 2, 3, 4, 5, 6, 13))
    strings = [value.decode() for value in top[6]]
    assert strings[0] == "", "the first string is not empty"
    functions = {f[1]: strings[f[2]] for f in map(record, top[5])}
    mappings = {m[1]: m for m in map(record, top[3])}
    locations = {}
    for raw in top[4]:
        location = record(raw, (4,))
        assert location[1] not in locations, "a location twice"
        mapping = mappings[location[2]] if 2 in location else None
        if mapping:
            assert mapping[2] <= location[3] < mapping[3], "an address outside its mapping"
        names = [functions[record(line)[1]] for line in location[4]]
        assert names or 3 in location, "a location with neither name nor address"
        locations[location[1]] = names[0] if names else hex(location[3])
    assert len(functions) == len(top[5]) and len(mappings) == len(top[3]), "a number twice"
    types = [strings[record(t)[1]] for t in top[1]]
    samples = []
    for raw in top[2]:
        sample = record(raw, (1, 2, 3))
        values = [v for part in sample[2] for v in numbers(part)]
        assert len(values) == len(types), "as many values as types"
        stack = [locations[i] for part in sample[1] for i in numbers(part)]
        assert stack, "a sample without a location"
        labels = {strings[label[1]]: strings[label[2]] for label in map(record, sample[3])}
        samples.append({"stack": stack, "labels": labels, **dict(zip(types, values))})
    builds = [strings[m[6]] for m in mappings.values() if 6 in m]
    files = [strings[m[5]] for m in mappings.values()]
    return {"types": types, "default": strings[top[14]], "samples": samples, "files": files, "builds": builds}


if __name__ == "__main__":
    try:
        with open(sys.argv[1], "rb") as file:
            json.dump(profile(file.read()), sys.stdout, indent=1)
    except (AssertionError, IndexError, KeyError, UnicodeDecodeError) as error:
        sys.exit(f"{sys.argv[1]}: {type(error).__name__}: {error}")
