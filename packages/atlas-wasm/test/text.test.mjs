import assert from "node:assert/strict";
import { test } from "node:test";
import { isLatin1, toLatin1 } from "../dist/text.js";

test("what cannot be a byte is told from what can, NUL included", () => {
  assert.ok(isLatin1(""));
  assert.ok(isLatin1("/a?b=é\u00ff\u0001"));
  assert.ok(!isLatin1("/users/\0X-Admin\0true"));
  assert.ok(!isLatin1("/\u0161dmin")); // its low byte is "a"
  assert.ok(!isLatin1("\u{1F600}"));
});

test("one character is one byte", () => {
  assert.deepEqual([...toLatin1("a\u00ff\u0001")], [0x61, 0xff, 1]);
});
