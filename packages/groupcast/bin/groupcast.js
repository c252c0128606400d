#!/usr/bin/env node
// A file of its own, because npm links the bin of a workspace when it installs a clone, and the rest is built later.
await import('../dist/packages/cli/dist/main.js');
