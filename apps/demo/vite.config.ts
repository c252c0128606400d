import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  // The styles use `light-dark()`, which Vite would rewrite for older browsers in a way that only follows the system.
  build: { outDir: 'dist', target: 'es2022', cssTarget: ['chrome123', 'firefox120', 'safari17.5'] },
});
