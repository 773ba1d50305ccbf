/** What the rest of a node may act on: an instruction that director and publisher both stand for. */
import type { Instruction } from "../../protocol/directive.ts";
import type { Digest, PackageRef, SwarmTag } from "../../protocol/ids.ts";
import type { Match } from "../../protocol/manifest.ts";

export interface VerifiedInstruction {
  readonly ref: PackageRef;
  /** `acme/app/1.2.3` */
  readonly targetPath: string;
  /** SHA-256 of the manifest's bytes, signed by the publisher. */
  readonly manifestDigest: Digest;
  /** Length of the manifest, signed by the publisher. */
  readonly manifestBytes: number;
  readonly match: Match;
  readonly swarm: SwarmTag;
  readonly instruction: Instruction;
}
