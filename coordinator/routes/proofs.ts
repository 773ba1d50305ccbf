/**
 * What a report of wrong bytes is worth: a proof is checked against the catalog's own index and the key of
 * the accused; everything else is one endpoint's word.
 */
import { DeployError } from "../../protocol/errors.ts";
import { isSealedBy, type FragmentProof } from "../../protocol/fragment-proof.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import { readJson } from "../../protocol/json.ts";
import { MANIFEST_MAX_BYTES } from "../../protocol/limits.ts";
import { parseManifest } from "../../protocol/manifest.ts";
import type { RefusalReport, Report } from "../../protocol/report.ts";
import { readContent } from "../store/package-content.ts";
import type { RecordChange } from "../store/records.ts";
import { TABLES } from "../store/tables.ts";
import type { Parts } from "./parts.ts";
import { effectiveSite, swarmTag } from "./planning.ts";

/** Whether the report convicts the accused. A proof that does not hold leaves an accusation. */
export async function isProven(parts: Parts, report: Report): Promise<boolean> {
  if (report.kind !== "refusal") return false;
  const { endpoint: receiver, accused: sender, proof } = report;
  if (proof === undefined || sender === undefined || sender === receiver) return false;
  if (parts.records.get(TABLES.endpoints, sender) === undefined) return false;
  const isSigned = isSealedBy(proof, { sender, receiver });
  return isSigned && isOfTheirSite(parts, proof, [receiver, sender]) && isWrong(parts, proof);
}

/** The charge that a report brings; none where the two could not have met. */
export function chargesBy(
  parts: Parts,
  report: RefusalReport,
  isConvicting: boolean,
): readonly RecordChange[] {
  const { code, accused, endpoint } = report;
  if (code !== "EXCHANGE_FRAGMENT_CORRUPT" || accused === undefined) return [];
  const [site, other] = [endpoint, accused].map((id) => siteOf(parts, id));
  if (!isConvicting && (other === undefined || site !== other)) return [];
  return parts.standing.accused(report, isConvicting, parts.now());
}

function siteOf(parts: Parts, id: EndpointId): string | undefined {
  const record = parts.records.get(TABLES.endpoints, id);
  return record === undefined ? undefined : effectiveSite(parts, record);
}

// The tag of a swarm is the package at one site: it binds what was signed to this manifest.
function isOfTheirSite(parts: Parts, proof: FragmentProof, pair: readonly EndpointId[]): boolean {
  const { manifest, swarm } = proof;
  const sites = new Set(
    pair.flatMap((id) => {
      const home = parts.records.get(TABLES.endpoints, id)?.homeSite;
      return [siteOf(parts, id), home].filter((site) => site !== undefined);
    }),
  );
  return [...sites].some((site) => swarmTag(parts, site, manifest) === swarm);
}

async function isWrong(parts: Parts, { manifest, index, digest }: FragmentProof): Promise<boolean> {
  try {
    const bytes = await parts.manifests.bytes(manifest);
    if (bytes === undefined) return false;
    const known = parseManifest(readJson("the manifest", bytes, MANIFEST_MAX_BYTES));
    const right = (await readContent(parts.fragments, known)).digests[index];
    return right !== undefined && right !== digest;
  } catch (error) {
    // A package that was taken away proves nothing any more.
    if (error instanceof DeployError) return false;
    throw error;
  }
}
