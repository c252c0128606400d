export { addressOf, parseRedisUrl, type RedisAddress, type RedisTarget } from '@groupcast/service-kit';
