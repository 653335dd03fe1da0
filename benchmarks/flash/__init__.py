"""A flash sale from the waiting room to the paid order, with everything going wrong in the middle."""
