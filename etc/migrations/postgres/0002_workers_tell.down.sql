DROP TRIGGER weir_tell_backends ON workers;
DROP FUNCTION weir_tell_backends();
