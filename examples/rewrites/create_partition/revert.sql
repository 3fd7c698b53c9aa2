DROP TABLE parcels_east;
DROP TABLE parcels_west;
