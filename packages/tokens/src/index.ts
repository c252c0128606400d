export { signConnectionToken, signServiceToken, signUserToken } from './sign.ts';
export { MAX_FUTURE_IAT_SECONDS } from './verify-jwt.ts';
export { createServiceTokenVerifier, type ServiceTokenVerifier } from './verify-service.ts';
export { createUserTokenVerifier, type UserTokenOptions, type UserTokenVerifier } from './verify-user.ts';
