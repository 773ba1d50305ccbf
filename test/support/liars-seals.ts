/** The seals of a member that signs what it sends, right or wrong: they convict it. */
import { createSealer, type SealsOf } from "../../node/swarm/fragment-seals.ts";
import { digestOf } from "./memory-content.ts";

export const liarsSeals: SealsOf = (seed) => {
  const sealer = createSealer(seed, Date.now);
  return (receiver) => (request, bytes) => sealer(request, digestOf(bytes), receiver);
};
