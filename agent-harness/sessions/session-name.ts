import { randomInt } from "node:crypto";
import type { ProviderName } from "./session.ts";

/* Names that a person can say and tell apart, for sessions that were given none. */

const adjectives =
  "able agile amber bold brave brisk calm clear clever coral crisp deft eager early exact fair fast firm fleet fond frank fresh gentle glad grand green happy hardy humble jolly keen kind light lively loyal lucid mellow merry mild neat noble open patient plain polite prime prompt proud quick quiet rapid ready red royal sharp silver smart solid spry steady sunny swift tidy true vivid warm wise witty".split(
    " ",
  );

const nouns =
  "badger bear beaver bison camel cedar condor crane deer dolphin eagle elk falcon ferret finch fox gecko goose hare hawk heron horse ibex jackal jay koala lark lemur lion llama lynx maple marten mole moose newt oak ocelot orca osprey otter owl panda parrot pine puffin quail rabbit raven robin salmon seal sparrow spruce stork swan tapir tiger toucan trout turtle viper walrus weasel whale willow wolf wombat wren yak zebra".split(
    " ",
  );

/** A name as `codex-brave-otter`; after some tries with a number, since words run out. */
export function sessionName(provider: ProviderName, attempt = 0): string {
  const name = `${provider}-${pick(adjectives)}-${pick(nouns)}`;
  return attempt < 5 ? name : `${name}-${randomInt(1000, 10_000)}`;
}

const pick = (words: readonly string[]): string => words[randomInt(words.length)] ?? "";
