#!/usr/bin/env node
// Another name of scripts/test-broadcast.js, by which some know it.
import { runCommand } from './run-command.mjs';

await runCommand('test-broadcast');
