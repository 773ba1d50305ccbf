import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { typedLine } from "../../../coordinator/cli/typed-line.ts";

async function lineOf(...parts: readonly (string | Buffer)[]): Promise<string | undefined> {
  const keyboard = new PassThrough();
  const line = typedLine(keyboard, new AbortController().signal);
  for (const part of parts) keyboard.write(part);
  return line;
}

it("reads up to Enter and obeys Backspace", async () => {
  expect(await lineOf("corx\u007F", "rect\r")).toBe("correct");
  expect(await lineOf("\u007F\b\r")).toBe("");
});

it("reads a character that arrives in two parts and ignores other control keys", async () => {
  const [first, second] = [Buffer.from([0xc3]), Buffer.from([0xbc])];

  expect(await lineOf(first, second, "b\u0001er\r")).toBe("über");
});

it("gives up at Ctrl-C, at Ctrl-D, at the end and at the signal", async () => {
  expect(await lineOf("abc\u0003")).toBeUndefined();
  expect(await lineOf("abc\u0004")).toBeUndefined();
  const ended = new PassThrough();
  const atEnd = typedLine(ended, new AbortController().signal);
  ended.end();
  expect(await atEnd).toBeUndefined();
  const stopping = new AbortController();
  const stopped = typedLine(new PassThrough(), stopping.signal);
  stopping.abort();
  expect(await stopped).toBeUndefined();
});
