/**
 * The screen and the keyboard as a port. Data goes to `writeOut`; progress, hints and errors go to
 * `writeErr`. Tests use a memory terminal.
 */
import { styleText, type InspectColor } from "node:util";
import type { Environment } from "./config.ts";
import { typedLine } from "./typed-line.ts";

export interface Terminal {
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
  readonly isOutTty: boolean;
  readonly isErrTty: boolean;
  /** Whether questions can be asked. */
  readonly isInTty: boolean;
  readonly columns: number;
  /** Colour for `writeOut`; plain where NO_COLOR is set or no terminal reads it. */
  readonly styleOut: (style: InspectColor, text: string) => string;
  readonly styleErr: (style: InspectColor, text: string) => string;
  /** Asks without echo; undefined where the person gave up (Ctrl-C, Ctrl-D). */
  readonly askHidden: (question: string) => Promise<string | undefined>;
}

/** Everything a command gets from outside itself. */
export interface Session {
  readonly terminal: Terminal;
  readonly environment: Environment;
  /** Ends waiting commands; aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
}

/** `signal` ends a question that waits for its answer. */
export function processTerminal(signal: AbortSignal): Terminal {
  const { stdout, stderr, stdin } = process;
  return {
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stderr.write(text),
    isOutTty: stdout.isTTY,
    isErrTty: stderr.isTTY,
    isInTty: stdin.isTTY && stderr.isTTY,
    // A terminal that does not know its size says 0.
    columns: stderr.columns || 80,
    styleOut: (style, text) => styleText(style, text, { stream: stdout }),
    styleErr: (style, text) => styleText(style, text, { stream: stderr }),
    askHidden: (question) => askHidden(question, signal),
  };
}

/** One result: JSON for programs, text for people. */
export function printResult(
  terminal: Terminal,
  isJson: boolean | undefined,
  value: unknown,
  text: string,
): void {
  terminal.writeOut(isJson === true ? `${JSON.stringify(value)}\n` : text);
}

async function askHidden(question: string, signal: AbortSignal): Promise<string | undefined> {
  const { stdin, stderr } = process;
  // Before the question: whoever types at once must not see it.
  stdin.setRawMode(true);
  stderr.write(question);
  try {
    return await typedLine(stdin, signal);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write("\n");
  }
}
