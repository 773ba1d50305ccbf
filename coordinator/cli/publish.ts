/**
 * `package publish`: everything that can be wrong is checked before the long work; then the content is
 * split, what the coordinator lacks is uploaded, and the new catalog is signed here.
 */
import {
  packageRefText,
  parsePackageName,
  parsePackageVersion,
  targetPathOf,
  type PackageRef,
} from "../../protocol/ids.ts";
import type { Action } from "../../protocol/package-action.ts";
import type { PackageAnswer } from "../../protocol/operator-api.ts";
import type { PackageRules } from "../../protocol/package-rules.ts";
import { checkArchiveType } from "../publish/archive-type.ts";
import type { OlderVersion } from "../publish/older-version.ts";
import { buildPackage, type BuiltPackage } from "../publish/build-package.ts";
import { actionFrom, checkAction } from "../publish/package-action.ts";
import { publishPackage } from "../publish/publish-package.ts";
import { makeStaging } from "../publish/staging.ts";
import type { OfflineKeys } from "../trust/fleet-keys.ts";
import { readKeyFile } from "../trust/key-file.ts";
import { signPackage } from "../trust/publisher.ts";
import type { ApiClient } from "./api-client.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { rulesFrom, type RuleTexts } from "./package-rules.ts";
import { defaultKeyPath, knownPassphrase } from "./passphrase.ts";
import { patchBases, type PatchChoice } from "./patch-bases.ts";
import { startProgress } from "./progress.ts";
import { publishTarget } from "./publish-target.ts";
import { bytesText, countText } from "./quantities.ts";
import { printResult, type Session } from "./terminal.ts";

export interface PublishOptions extends OperatorOptions, PatchChoice, RuleTexts {
  readonly name: string;
  readonly version: string;
  readonly action: string;
  readonly command?: string;
  readonly path?: string;
  readonly level: number;
  readonly shell?: boolean;
  readonly captureExitCode?: boolean;
  /** In milliseconds. */
  readonly timeout?: number;
  readonly successCodes?: readonly number[];
  readonly epoch: number;
  readonly compression?: number;
  readonly keys?: string;
}

export async function publish(
  source: string | undefined,
  options: PublishOptions,
  session: Session,
): Promise<void> {
  const ref = {
    name: parsePackageName(options.name),
    version: parsePackageVersion(options.version),
  };
  const action = actionOf(options);
  checkAction(action, source !== undefined);
  const rules = await rulesFrom(ref.name, options);
  if (source !== undefined) checkArchiveType(source, rules?.requirements?.os);
  await using client = await openClient(options, session);
  const offline = await offlineKeys(client, ref, options, session);
  await using staging = await makeStaging();
  const bases = source === undefined ? [] : await patchBases(ref, options, client, session.signal);
  const built = await build(
    { source, ref, action, rules, options, bases },
    staging.folder,
    session,
  );
  const { answer, sentBytes } = await upload({ built, ref, offline, client }, session);
  const shown = publishedOf(built, answer, sentBytes);
  printResult(session.terminal, options.json, { ...answer, ...shown }, publishedText(ref, shown));
}

function actionOf(options: PublishOptions): Action {
  const { action, command, path, shell, captureExitCode, successCodes, timeout } = options;
  return actionFrom({
    action,
    ...(command === undefined ? {} : { command }),
    ...(path === undefined ? {} : { path }),
    ...(shell === undefined ? {} : { shell }),
    ...(captureExitCode === undefined ? {} : { captureExitCode }),
    ...(successCodes === undefined ? {} : { successCodes }),
    ...(timeout === undefined ? {} : { timeoutSec: Math.ceil(timeout / 1000) }),
  });
}

/** Asked for before the build, so that a wrong passphrase costs seconds and not an upload. */
async function offlineKeys(
  client: ApiClient,
  ref: PackageRef,
  options: PublishOptions,
  session: Session,
): Promise<OfflineKeys> {
  const { environment, terminal, signal } = session;
  const { fleet } = await client.publishing(targetPathOf(ref), signal);
  const path = options.keys ?? defaultKeyPath(environment, fleet);
  return readKeyFile(path, await knownPassphrase(terminal, environment));
}

interface BuildOrder {
  readonly source: string | undefined;
  readonly ref: PackageRef;
  readonly action: Action;
  readonly rules: PackageRules | undefined;
  readonly options: PublishOptions;
  readonly bases: readonly OlderVersion[];
}

async function build(order: BuildOrder, staging: string, session: Session): Promise<BuiltPackage> {
  const { source, ref, action, rules, options, bases } = order;
  const progress = startProgress(session);
  progress.update("reading and splitting", 0);
  try {
    return await buildPackage(
      {
        ...(source === undefined ? {} : { source }),
        ...ref,
        level: options.level,
        epoch: options.epoch,
        action,
        ...(rules === undefined ? {} : { rules }),
        bases,
        ...(options.compression === undefined ? {} : { compressionLevel: options.compression }),
      },
      staging,
      session.signal,
      ({ stage, doneBytes, totalBytes }) => {
        const what = stage === "content" ? "reading and splitting" : "making patches";
        progress.update(what, doneBytes, totalBytes);
      },
    );
  } finally {
    progress.end();
  }
}

interface UploadOrder {
  readonly built: BuiltPackage;
  readonly ref: PackageRef;
  readonly offline: OfflineKeys;
  readonly client: ApiClient;
}

async function upload(
  order: UploadOrder,
  session: Session,
): Promise<{ readonly answer: PackageAnswer; readonly sentBytes: number }> {
  const { built, ref, offline, client } = order;
  const progress = startProgress(session);
  let sentBytes = 0;
  try {
    const answer = await publishPackage({
      built,
      ref,
      target: publishTarget(client),
      sign: (publishing, { manifest, manifestBytes }) =>
        signPackage(offline, publishing, { manifest, manifestBytes, nowMs: session.nowMs() }),
      signal: session.signal,
      onProgress: ({ doneBytes, totalBytes }) => {
        sentBytes = doneBytes;
        progress.update("uploading", doneBytes, totalBytes);
      },
    });
    return { answer, sentBytes };
  } finally {
    progress.end();
  }
}

/** Beside the coordinator's answer: what the upload cost, in bytes on the wire. */
interface Published {
  readonly manifest: string;
  readonly fragmentCount: number;
  readonly fileBytes: number;
  readonly wireBytes: number;
  readonly sentBytes: number;
  readonly reusedBytes: number;
  /** What an endpoint fetches that has one of these versions, unless its own files say otherwise. */
  readonly deltas: readonly { readonly from: string; readonly wireBytes: number }[];
}

function publishedOf(built: BuiltPackage, answer: PackageAnswer, sentBytes: number): Published {
  const stagedBytes = built.fragments.reduce((sum, fragment) => sum + fragment.sizeBytes, 0);
  const { content } = built.manifest;
  return {
    deltas: (content?.deltas ?? []).map(({ base, wireBytes }) => {
      return { from: base.version, wireBytes };
    }),
    manifest: built.manifestDigest,
    fragmentCount: answer.fragmentCount,
    fileBytes: answer.fileBytes,
    wireBytes: content?.wireBytes ?? 0,
    sentBytes,
    reusedBytes: stagedBytes - sentBytes,
  };
}

function publishedText(ref: PackageRef, shown: Published): string {
  const { manifest, fragmentCount, fileBytes, wireBytes, sentBytes, reusedBytes, deltas } = shown;
  const patches = deltas.map(
    (delta) => `\n  patches     ${bytesText(delta.wireBytes)} from ${delta.from}`,
  );
  const sizes = `${bytesText(fileBytes)} of files, ${bytesText(wireBytes)} on the wire`;
  return `${packageRefText(ref)} is published
  manifest    ${manifest}
  content     ${countText(fragmentCount, "fragment")}, ${sizes}${patches.join("")}
  uploaded    ${bytesText(sentBytes)}; ${bytesText(reusedBytes)} were there already
next: branchline package activate ${packageRefText(ref)}
`;
}
