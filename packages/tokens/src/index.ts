export { DEFAULT_CLOCK_SKEW_SECONDS } from './hs256.ts';
export { DEFAULT_MAX_STALE_KEYS_SECONDS } from './key-set.ts';
export { signConnectionToken, signServiceToken, signUserToken } from './sign.ts';
export { ownerOfOldToken, refusalOf, type TokenFault, TokenOver, type TokenRefusal } from './token-refusal.ts';
export { createServiceTokenVerifier, type ServiceTokenVerifier } from './verify-service.ts';
export {
  createUserTokenVerifier,
  type GroupProblem,
  type UserTokenOptions,
  type UserTokenVerifier,
} from './verify-user.ts';
