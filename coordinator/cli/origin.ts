/** `origin add`, `list`, `remove` and `export`: any HTTPS server as a source of package content. */
import { readFile } from "node:fs/promises";
import { DeployError } from "../../protocol/errors.ts";
import { packageRefText, parsePackageRef, parseSiteName } from "../../protocol/ids.ts";
import {
  parseOriginRemoval,
  parseOrigins,
  parseOriginView,
  type Origins,
  type OriginView,
} from "../../protocol/plain-origin.ts";
import { exportContent } from "../publish/export-content.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { startProgress } from "./progress.ts";
import { bytesText, countText } from "./quantities.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export interface OriginAddOptions extends OperatorOptions {
  readonly site?: readonly string[];
  /** File with the authority to pin. */
  readonly ca?: string;
}

export interface OriginExportOptions extends OperatorOptions {
  readonly to: string;
}

export async function addOrigin(
  url: string,
  options: OriginAddOptions,
  session: Session,
): Promise<void> {
  const sites = options.site?.map(parseSiteName);
  const ca = options.ca === undefined ? undefined : await readCertificate(options.ca);
  const input = {
    url: url.replace(/\/+$/u, ""),
    ...(sites === undefined ? {} : { sites }),
    ...(ca === undefined ? {} : { ca }),
  };
  await using client = await openClient(options, session);
  const view = await client.tell("PUT", "/v1/origins", input, parseOriginView);
  const text =
    `origin ${view.url} is asked first at ${placesText(view)}\n` +
    "next: branchline origin export NAME@VERSION --to DIR, and put DIR there\n";
  printResult(session.terminal, options.json, view, text);
}

export async function removeOrigin(
  url: string,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  const input = { url: url.replace(/\/+$/u, "") };
  await using client = await openClient(options, session);
  const gone = await client.tell("POST", "/v1/origins/remove", input, parseOriginRemoval);
  printResult(session.terminal, options.json, gone, `origin ${gone.url} is asked no more\n`);
}

export async function listOrigins(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const answer = await client.ask("/v1/origins", parseOrigins);
  printResult(session.terminal, options.json, answer, originsText(answer));
}

export async function exportOrigin(
  refText: string,
  options: OriginExportOptions,
  session: Session,
): Promise<void> {
  const ref = parsePackageRef(refText);
  const shown = packageRefText(ref);
  await using client = await openClient(options, session);
  const known = (await client.published(ref.name)).find(({ version }) => version === ref.version);
  if (known === undefined) throw new DeployError("NOT_FOUND", { what: `package ${shown}` });
  const progress = startProgress(session);
  try {
    const exported = await exportContent(
      known.manifest,
      {
        manifest: async (digest, within) => client.publishedBytes("manifests", digest, within),
        fragment: async (digest, within) => client.publishedBytes("fragments", digest, within),
      },
      {
        folder: options.to,
        onProgress: (done, total) => progress.update("exporting", done, total),
      },
      session.signal,
    );
    progress.end();
    const { fragmentCount, wireBytes, writtenCount } = exported;
    const text =
      `${shown}: ${countText(fragmentCount, "fragment")}, ${bytesText(wireBytes)}, ` +
      `${writtenCount} of them new in ${options.to}\n`;
    printResult(session.terminal, options.json, { ...ref, folder: options.to, ...exported }, text);
  } catch (cause) {
    progress.end();
    throw cause instanceof DeployError || session.signal.aborted
      ? cause
      : fileError(options.to, "written", cause);
  }
}

export function originsText({ origins, tokenKey }: Origins): string {
  if (origins.length === 0) {
    return "no origin but the coordinator\nnext: branchline origin add https://cdn.example/fleet\n";
  }
  const rows = origins.map((view) => [
    view.url,
    placesText(view),
    view.hasCa ? "pinned" : "system",
    String(view.doneCount),
    bytesText(view.doneBytes),
    problemsText(view),
  ]);
  const headings = ["ORIGIN", "ASKED AT", "AUTHORITY", "FRAGMENTS", "BYTES", "PROBLEMS"];
  return `${tableText(headings, rows)}\nkey of the lease tokens: ${tokenKey}\n`;
}

function placesText({ sites }: OriginView): string {
  return sites === undefined ? "all sites" : sites.join(", ");
}

function problemsText({ problems, lastProblemAt }: OriginView): string {
  const seen = Object.entries(problems).filter(([, times]) => times > 0);
  if (seen.length === 0) return "-";
  const last = lastProblemAt === undefined ? "" : ` (last ${lastProblemAt})`;
  return seen.map(([problem, times]) => `${times} ${problem}`).join(", ") + last;
}

async function readCertificate(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw fileError(path, "read", cause);
  }
}

function fileError(path: string, verb: string, cause: unknown): DeployError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new DeployError("CLI_FILE", { path, verb, problem }, { cause });
}
