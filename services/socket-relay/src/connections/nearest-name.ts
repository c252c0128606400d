export { nearestEvent, nearestText } from '@groupcast/shared';
