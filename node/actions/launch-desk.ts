/**
 * Where a launch is asked for on the endpoint: a socket in a folder that only the node's own user can
 * enter (trust X17). One line of JSON in, one line out.
 */
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { Logger } from "pino";
import { Type, type Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import { PackageNameSchema, PackageVersionSchema } from "../../protocol/ids.ts";
import { parserOf, readJson } from "../../protocol/json.ts";
import { isErrorCode } from "../content/write-file.ts";
import type { LaunchStep, LaunchWish } from "./local-launch.ts";

const closed = { additionalProperties: false } as const;
const LINE_MAX_BYTES = 64 * 1024;

const QuestionSchema = Type.Object(
  { name: PackageNameSchema, version: Type.Optional(PackageVersionSchema) },
  closed,
);
const parseQuestion = parserOf("the launch request", QuestionSchema);

const AnswerSchema = Type.Object(
  {
    steps: Type.Array(
      Type.Object(
        {
          package: Type.String(),
          operation: Type.Enum(["install", "launch"]),
          outcome: Type.String(),
        },
        closed,
      ),
    ),
    /** Set: it was not launched, or not to the end. */
    problem: Type.Optional(Type.String()),
  },
  closed,
);
export type LaunchAnswer = Static<typeof AnswerSchema>;
const parseAnswer = parserOf("the answer of the node", AnswerSchema);

export type Launch = (
  wish: LaunchWish,
  signal: AbortSignal,
) => Promise<{ readonly steps: readonly LaunchStep[]; readonly problem?: string }>;

export class LaunchDesk implements AsyncDisposable {
  readonly #server: Server;
  readonly #stop = new AbortController();
  readonly #talks = new Set<Promise<void>>();

  private constructor(launch: Launch, log: Logger) {
    this.#server = createServer((socket) => {
      const talk = answered(socket, launch, this.#stop.signal)
        .catch((error: unknown) => log.warn({ err: error }, "launch.notAnswered"))
        .finally(() => this.#talks.delete(talk));
      this.#talks.add(talk);
    });
  }

  /** A folder whose path is too long for a socket leaves the endpoint without this command, and says so. */
  static async open(dataDir: string, launch: Launch, log: Logger): Promise<LaunchDesk> {
    const desk = new LaunchDesk(launch, log);
    await mkdir(join(dataDir, "local"), { recursive: true, mode: 0o700 });
    const path = socketPath(dataDir);
    // Left by a node that was killed; a running one would hold the data folder's databases.
    await rm(path, { force: true });
    desk.#server.listen(path);
    try {
      await once(desk.#server, "listening");
    } catch (error) {
      log.warn({ err: error, path }, "launch.notListening");
    }
    return desk;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    if (this.#server.listening) {
      this.#server.close();
      await Promise.all(this.#talks);
    }
  }
}

/** Asks the node that runs on a data folder. Throws NODE_NOT_RUNNING. */
export async function askLaunch(
  dataDir: string,
  wish: LaunchWish,
  signal: AbortSignal,
): Promise<LaunchAnswer> {
  const socket = connect(socketPath(dataDir));
  try {
    await once(socket, "connect", { signal });
    const { name, version } = wish;
    socket.write(`${JSON.stringify(version === undefined ? { name } : { name, version })}\n`);
    const line = await lineOf(socket, signal);
    return parseAnswer(readJson("the answer of the node", line, LINE_MAX_BYTES));
  } catch (cause) {
    const codes = ["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE"];
    if (!codes.some((code) => isErrorCode(cause, code))) throw cause;
    throw new DeployError("NODE_NOT_RUNNING", { path: dataDir }, { cause });
  } finally {
    socket.destroy();
  }
}

function socketPath(dataDir: string): string {
  return join(dataDir, "local", "launch.sock");
}

async function answered(socket: Socket, launch: Launch, stop: AbortSignal): Promise<void> {
  const left = new AbortController();
  socket.once("close", () => left.abort());
  const signal = AbortSignal.any([stop, left.signal]);
  try {
    const line = await lineOf(socket, signal);
    const answer = await answerTo(line, launch, signal);
    socket.end(`${JSON.stringify(answer)}\n`);
  } catch (error) {
    socket.destroy();
    if (!signal.aborted) throw error;
  }
}

async function answerTo(line: Buffer, launch: Launch, signal: AbortSignal): Promise<LaunchAnswer> {
  try {
    const question = parseQuestion(readJson("the launch request", line, LINE_MAX_BYTES));
    const { steps, problem } = await launch(question, signal);
    return { steps: [...steps], ...(problem === undefined ? {} : { problem }) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DeployError)) throw error;
    return { steps: [], problem: error.message };
  }
}

async function lineOf(socket: Socket, signal: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = [];
  const done = Promise.withResolvers<Buffer>();
  const onData = (part: Buffer): void => {
    parts.push(part);
    const all = Buffer.concat(parts);
    const end = all.indexOf(0x0a);
    if (end >= 0) done.resolve(all.subarray(0, end));
    else if (all.length > LINE_MAX_BYTES) done.reject(tooLong());
  };
  const onAbort = (): void => done.reject(signal.reason);
  const onEnd = (): void => done.reject(Object.assign(new Error("cut"), { code: "ECONNRESET" }));
  socket.on("data", onData).once("error", done.reject).once("end", onEnd);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await done.promise;
  } finally {
    socket.off("data", onData).off("error", done.reject).off("end", onEnd);
    signal.removeEventListener("abort", onAbort);
    // A connection that breaks later has nothing left to say.
    socket.on("error", () => undefined);
  }
}

function tooLong(): DeployError {
  const details = { what: "the launch request", limitBytes: LINE_MAX_BYTES };
  return new DeployError("DOCUMENT_TOO_LARGE", details);
}
