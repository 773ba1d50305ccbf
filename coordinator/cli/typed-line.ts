/**
 * One line from a keyboard in raw mode, where Enter is \r, Ctrl-C and Ctrl-D arrive as characters and
 * Backspace is \x7f or \b. Undefined where the person or the signal gave up.
 */
import type { Readable } from "node:stream";

export async function typedLine(
  keyboard: Readable,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const decoder = new TextDecoder();
  let typed: string[] = [];
  const onData = (bytes: Buffer): void => {
    // A character of several bytes may arrive in two parts.
    for (const key of decoder.decode(bytes, { stream: true })) {
      if (key === "\r" || key === "\n") resolve(typed.join(""));
      else if (key === "\u0003" || key === "\u0004") resolve(undefined);
      else if (key === "\u007F" || key === "\b") typed = typed.slice(0, -1);
      else if (key >= " ") typed.push(key);
    }
  };
  const onAbort = (): void => resolve(undefined);
  keyboard.on("data", onData);
  keyboard.on("end", onAbort);
  signal.addEventListener("abort", onAbort, { once: true });
  keyboard.resume();
  try {
    return await promise;
  } finally {
    keyboard.off("data", onData);
    keyboard.off("end", onAbort);
    signal.removeEventListener("abort", onAbort);
  }
}
