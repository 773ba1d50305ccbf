/**
 * Packages made from scratch and followed to their results, for the tests that run real processes.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import AdmZip from "adm-zip";
import { create as createTar } from "tar";
import type { StatusEndpoint, StatusJob } from "../../protocol/operator-api.ts";
import { until, type Fleet } from "./processes.ts";

/** File name to text; a name that ends in `.sh` becomes executable. */
export type Files = Readonly<Record<string, string>>;

export async function writeFolder(folder: string, files: Files): Promise<string> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    if (name.endsWith(".sh")) await chmod(path, 0o755);
  }
  return folder;
}

export async function writeZip(path: string, files: Files): Promise<string> {
  const zip = new AdmZip();
  for (const [name, text] of Object.entries(files)) {
    zip.addFile(name, Buffer.from(text), "", name.endsWith(".sh") ? 0o755 : 0o644);
  }
  await mkdir(dirname(path), { recursive: true });
  await zip.writeZipPromise(path);
  return path;
}

export async function writeTarGz(path: string, files: Files): Promise<string> {
  const folder = await writeFolder(`${path}.content`, files);
  await createTar({ gzip: true, file: path, cwd: folder, portable: true }, Object.keys(files));
  return path;
}

/** Publishes without activating: what `package publish` alone does. */
export async function publish(
  fleet: Fleet,
  ref: string,
  source: string | undefined,
  flags: readonly string[],
): Promise<void> {
  const [name = "", version = ""] = ref.split("@");
  const path = source === undefined ? [] : [source];
  const identity = ["--name", name, "--version", version];
  await fleet.command(["package", "publish", ...path, ...identity, ...flags]);
}

/** Publishes, activates and deploys. */
export async function publishTo(
  fleet: Fleet,
  package_: { readonly ref: string; readonly source?: string; readonly flags: readonly string[] },
  target: string,
): Promise<void> {
  await publish(fleet, package_.ref, package_.source, package_.flags);
  await fleet.command(["package", "activate", package_.ref]);
  await fleet.command(["deploy", package_.ref, "--to", target]);
}

export async function endpointOf(fleet: Fleet, name: string): Promise<StatusEndpoint> {
  const { endpoints } = await fleet.status();
  const found = endpoints.find((endpoint) => endpoint.name === name);
  if (found === undefined) throw new Error(`no endpoint ${name}`);
  return found;
}

/** The job of one package on one endpoint, as soon as `isReached` holds for it. */
export async function jobOf(
  fleet: Fleet,
  name: string,
  ref: string,
  isReached: (job: StatusJob) => boolean = isSucceeded,
): Promise<StatusJob> {
  let last: StatusJob | undefined;
  try {
    return await until(`${ref} on ${name}`, 90_000, async () => {
      const { jobs } = await endpointOf(fleet, name);
      last = jobs.find((job) => `${job.package}@${job.version}` === ref);
      return last !== undefined && isReached(last) ? last : undefined;
    });
  } catch (cause) {
    throw new Error(`${ref} on ${name} stays ${JSON.stringify(last)}`, { cause });
  }
}

export function isSucceeded(job: StatusJob): boolean {
  return job.state === "succeeded";
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest("hex");
}
