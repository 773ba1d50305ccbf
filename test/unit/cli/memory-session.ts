/** A session without screen, keyboard or environment, for tests of commands. */
import { readEnvironment, type Environment } from "../../../coordinator/cli/config.ts";
import type { Session, Terminal } from "../../../coordinator/cli/terminal.ts";

export interface MemorySession extends Session {
  readonly out: () => string;
  readonly err: () => string;
  readonly advanceMs: (durationMs: number) => void;
  readonly stop: () => void;
}

export interface MemoryOptions {
  readonly variables?: Readonly<Record<string, string>>;
  readonly isTty?: boolean;
  readonly columns?: number;
  /** What is typed at hidden questions, in order. */
  readonly typed?: readonly string[];
}

export function memorySession(options: MemoryOptions = {}): MemorySession {
  const written = { out: "", err: "" };
  const typed = [...(options.typed ?? [])];
  const stopping = new AbortController();
  let nowMs = 1_000_000;
  const isTty = options.isTty === true;
  const terminal: Terminal = {
    writeOut: (text) => {
      written.out += text;
    },
    writeErr: (text) => {
      written.err += text;
    },
    isOutTty: isTty,
    isErrTty: isTty,
    isInTty: options.typed !== undefined,
    columns: options.columns ?? 120,
    styleOut: (_style, text) => text,
    styleErr: (_style, text) => text,
    askHidden: () => Promise.resolve(typed.shift()),
  };
  const environment: Environment = readEnvironment(options.variables ?? {}, "/nobody");
  return {
    terminal,
    environment,
    signal: stopping.signal,
    nowMs: () => nowMs,
    out: () => written.out,
    err: () => written.err,
    advanceMs: (durationMs) => {
      nowMs += durationMs;
    },
    stop: () => {
      stopping.abort();
    },
  };
}
