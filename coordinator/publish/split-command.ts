/**
 * Splits a command line into words without any shell. Quotes group; a backslash protects a space, a quote
 * or a backslash and is a plain character before anything else, so that `C:\Tools\x.exe` stays as written.
 */
import { DeployError } from "../../protocol/errors.ts";

/** Throws INPUT_INVALID for a quote without its partner. */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    const next = text.charAt(at + 1);
    if (char === "\\" && isProtectable(next, quote)) {
      word = `${word ?? ""}${next}`;
      at++;
    } else if (quote !== undefined) {
      if (char === quote) quote = undefined;
      else word = `${word ?? ""}${char}`;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (/\s/u.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = `${word ?? ""}${char}`;
  }
  if (quote !== undefined) {
    throw new DeployError("INPUT_INVALID", {
      what: `the command ${JSON.stringify(text.slice(0, 200))}`,
      expected: `a closing ${quote} for every opening one`,
    });
  }
  if (word !== undefined) words.push(word);
  return words;
}

function isProtectable(next: string, quote: string | undefined): boolean {
  // Single quotes take everything as it is.
  if (quote === "'" || next === "") return false;
  if (quote === '"') return next === '"' || next === "\\";
  return next === '"' || next === "'" || next === "\\" || /\s/u.test(next);
}
