"""Given: the test vectors of proto.md §13 that are about headers and integers."""
import unittest

import codec


class Vectors(unittest.TestCase):
    def test_vectors(self):
        with open("vectors.txt") as file:
            vectors = [line.split() for line in file if not line.startswith("#")]
        for kind, *fields, data in vectors:
            data = bytes.fromhex(data)
            with self.subTest(kind=kind, fields=fields):
                if kind == "header":
                    expected = codec.Header(*(int(it, 16) for it in fields))
                    header, frames = codec.decode(data)
                    self.assertEqual(header, expected)
                    self.assertEqual(codec.encode(header, frames), data)
                elif kind == "rejected":
                    with self.assertRaises(ValueError):
                        codec.decode(data)
                else:
                    value = int(fields[0], 16)
                    self.assertEqual(codec.put_integer(value), data)
                    self.assertEqual(codec.take_integer(data + b"x"), (value, b"x"))
        self.assertGreater(len(vectors), 50)


if __name__ == "__main__":
    unittest.main()
