/** Builds packages for tests with everything usual filled in. */
import { mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  buildPackage,
  type BuiltPackage,
  type PackageSpec,
} from "../../coordinator/publish/build-package.ts";
import { SOURCE_LIMITS } from "../../coordinator/publish/content-reader.ts";
import { DeployError } from "../../protocol/errors.ts";
import { parsePackageName, parsePackageVersion } from "../../protocol/ids.ts";

/** Builds into a fresh folder below `folder`. */
export async function builtFrom(
  folder: string,
  spec: Partial<PackageSpec> & Pick<PackageSpec, "action">,
): Promise<BuiltPackage> {
  const staging = await mkdtemp(join(folder, "staging-"));
  const whole: PackageSpec = {
    name: parsePackageName("acme/app"),
    version: parsePackageVersion("1.0.0"),
    level: 5,
    epoch: 1,
    compressionLevel: 1,
    ...spec,
  };
  return buildPackage(whole, staging, new AbortController().signal, () => undefined);
}

/** The error of publishing these bytes as a file `name`; throws where anything stays staged. */
export async function refusalOf(
  folder: string,
  name: string,
  bytes: Buffer | undefined,
  limits = SOURCE_LIMITS,
): Promise<DeployError> {
  const source = join(folder, name);
  const staging = join(folder, "staging");
  if (bytes !== undefined) await writeFile(source, bytes);
  await mkdir(staging, { recursive: true });
  const spec = {
    source,
    name: parsePackageName("acme/app"),
    version: parsePackageVersion("1.0.0"),
    level: 5,
    epoch: 1,
    action: { kind: "store", path: "app" } as const,
    compressionLevel: 1,
    limits,
  };
  const built = buildPackage(spec, staging, new AbortController().signal, () => undefined);
  const error = await built.then(
    () => new Error(`${name} was published`),
    (cause: unknown) => cause,
  );
  if (!(error instanceof DeployError)) throw error;
  const left = await readdir(staging);
  if (left.length > 0) throw new Error(`${left.join(", ")} stayed in the staging folder`);
  return error;
}
